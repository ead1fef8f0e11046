"""All targets of a data set as tensors, and the targets of any batch of its samples."""

from typing import Protocol

import torch
from torch import Tensor

from quaterion.batch import GroupTargets, PairTargets

__all__ = ["GroupTable", "PairTable", "TargetTable"]


class TargetTable(Protocol):
    """Targets of N samples, which hold T objects; objects are numbered sample by sample."""

    def __len__(self) -> int:
        """Number of samples."""
        ...

    def batch(self, samples: Tensor) -> tuple[Tensor, GroupTargets | PairTargets]:
        """Objects and targets of a batch.

        Args:
            samples: int64 `[B]`, indices of samples.

        Returns:
            Object numbers in the order of the embeddings' rows, and the targets over those rows.
        """
        ...

    def all(self) -> GroupTargets | PairTargets:
        """Targets of the whole data set as one batch."""
        ...


class GroupTable:
    """Targets of group samples; object i is that of sample i.

    Args:
        groups: int64 `[N]`.

    Example:
        >>> objects, targets = GroupTable(torch.tensor([7, 8, 7])).batch(torch.tensor([2, 0]))
        >>> objects.tolist(), targets.groups.tolist()
        ([2, 0], [7, 7])
    """

    def __init__(self, groups: Tensor) -> None:
        self.groups = groups

    def __len__(self) -> int:
        return len(self.groups)

    def batch(self, samples: Tensor) -> tuple[Tensor, GroupTargets]:
        """See `TargetTable.batch`."""
        return samples, GroupTargets(groups=self.groups.index_select(0, samples))

    def all(self) -> GroupTargets:
        """See `TargetTable.all`."""
        return GroupTargets(groups=self.groups)


class PairTable:
    """Targets of pair samples; sample i holds objects `offsets[i]` (a), `offsets[i] + 1` (b) and its negatives.

    Args:
        offsets: int64 `[N + 1]`, first object of each sample, then T.
        scores: float32 `[N]`.
        subgroups: int64 `[N]`.
        ids: int64 `[T]`, equal for objects of equal content.

    Example:
        >>> table = PairTable(torch.tensor([0, 2, 5]), torch.ones(2), torch.zeros(2).long(), torch.arange(5))
        >>> objects, targets = table.batch(torch.tensor([1, 0]))
        >>> objects.tolist(), targets.negatives.tolist()
        ([2, 0, 3, 1, 4], [[0, 4]])
    """

    def __init__(self, offsets: Tensor, scores: Tensor, subgroups: Tensor, ids: Tensor) -> None:
        self.offsets, self.scores, self.subgroups, self.ids = offsets, scores, subgroups, ids
        self._negative_counts = offsets.diff() - 2
        self._has_negatives = bool((self._negative_counts > 0).any())
        self.subgroups_used = bool((subgroups != subgroups[:1]).any())
        """Whether there is more than one subgroup."""

    def __len__(self) -> int:
        return len(self.scores)

    def batch(self, samples: Tensor) -> tuple[Tensor, PairTargets]:
        """See `TargetTable.batch`."""
        count = len(samples)
        rows = torch.arange(count)
        first = self.offsets.index_select(0, samples)
        objects = [first, first + 1]
        negatives = torch.empty((0, 2), dtype=torch.int64)
        if self._has_negatives:
            counts = self._negative_counts.index_select(0, samples)
            anchors = torch.repeat_interleave(rows, counts)  # [M]
            starts = torch.repeat_interleave(counts.cumsum(0) - counts, counts)
            place = torch.arange(len(anchors))  # [M], and place − starts counts within one sample
            objects.append(first.index_select(0, anchors) + 2 + place - starts)
            negatives = torch.stack([anchors, place + 2 * count], dim=1)
        flat = torch.cat(objects)
        subgroups = self.subgroups.index_select(0, samples)
        return flat, PairTargets(
            pairs=torch.stack([rows, rows + count], dim=1),
            scores=self.scores.index_select(0, samples),
            subgroups=torch.cat([subgroups, subgroups]),
            ids=self.ids.index_select(0, flat),
            negatives=negatives,
            subgroups_used=self.subgroups_used,
        )

    def all(self) -> PairTargets:
        """See `TargetTable.all`."""
        return self.batch(torch.arange(len(self)))[1]
