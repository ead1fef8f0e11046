"""What travels from the data to the loss: features, targets, and the batch that joins them.

All of them are NamedTuples of tensors and plain containers, so that Lightning, pickle and a DataLoader's
worker processes move them as they are.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple, Self

import torch
from torch import Tensor

from quaterion_models.batch_to import to_device
from quaterion_models.meta import Meta

__all__ = ["Batch", "Features", "GroupTargets", "PairTargets", "RankRows"]


class Features(NamedTuple):
    """What the encoders need of a batch of objects, one row per object.

    Attributes:
        cached: Per encoder name, vectors `[B, D_i]` that are already known.
        inputs: Per encoder name, the collated input of an encoder that still has to run.
        meta: One dict per object, for heads and encoders that choose by it.
    """

    cached: dict[str, Tensor]
    inputs: dict[str, Any]
    meta: Sequence[dict[str, Any]] | Meta

    def to(self, device: torch.device | str) -> Self:
        """Return the same features with their tensors on the device; `meta` stays where it is."""
        return self._replace(
            cached=to_device(self.cached, device),
            inputs=to_device(self.inputs, device),
        )


class GroupTargets(NamedTuple):
    """Which group each row of the embeddings belongs to.

    Attributes:
        groups: `[B]` int64. For losses with class weights they are 0..G−1, and −1 marks a group that training
            never saw.
    """

    groups: Tensor

    def to(self, device: torch.device | str) -> Self:
        """Return the same targets on the device."""
        return self._replace(groups=self.groups.to(device, non_blocking=True))

    def as_arguments(self) -> dict[str, Tensor]:
        """Return the documented keyword arguments of a group loss or metric.

        Example:
            >>> GroupTargets(torch.tensor([3, 3])).as_arguments()
            {'groups': tensor([3, 3])}
        """
        return {"groups": self.groups}


class PairTargets(NamedTuple):
    """Which rows of the embeddings form pairs, and how similar they are.

    The rows of the embeddings are the P anchors, then their P partners, then the M explicit negatives.

    Attributes:
        pairs: `[P, 2]` int64, the rows of each pair.
        scores: `[P]` float32, 1 for similar and 0 for dissimilar.
        subgroups: `[2P]` int64, one per row of the pairs; objects of different subgroups are negatives.
        ids: `[2P + M]` int64, one per row; equal ids mark equal objects.
        negatives: `[M, 2]` int64, rows of (anchor, explicit negative).
        subgroups_used: Whether the data set that the batch is from has more than one subgroup, so that they say
            anything; None where that is not known.
    """

    pairs: Tensor
    scores: Tensor
    subgroups: Tensor
    ids: Tensor
    negatives: Tensor
    subgroups_used: bool | None = None

    def to(self, device: torch.device | str) -> Self:
        """Return the same targets on the device."""
        return type(self)(*to_device(tuple(self), device))

    def as_arguments(self) -> dict[str, Tensor]:
        """Return the documented keyword arguments of a pair loss or metric.

        Example:
            >>> pairs = torch.tensor([[0, 1]])
            >>> empty = torch.zeros(0, 2, dtype=torch.int64)
            >>> targets = PairTargets(pairs, torch.ones(1), torch.zeros(2).long(), torch.arange(2), empty)
            >>> sorted(targets.as_arguments())
            ['labels', 'pairs', 'subgroups']
        """
        return {"pairs": self.pairs, "labels": self.scores, "subgroups": self.subgroups}


class RankRows(NamedTuple):
    """Where the rows of a global batch come from, of which each of W processes has encoded a slice.

    Attributes:
        own: Rows of this process's embeddings that count; any behind them are fillers.
        most: Rows of the largest slice, to which all are padded.
        order: `[B]` int64, for each row of the global batch its place among the W · `most` padded rows.
    """

    own: int
    most: int
    order: Tensor

    def to(self, device: torch.device | str) -> Self:
        """Return the same rows on the device."""
        return self._replace(order=self.order.to(device, non_blocking=True))


class Batch(NamedTuple):
    """One step's worth of data: what the encoders read and what the loss compares with.

    Attributes:
        features: Input of the encoders, cached or raw.
        targets: What the loss and the metrics take.
        source: Name of the data set, where a training has several.
        rows: Where the targets' rows come from, if the features are a slice of them and others are encoded elsewhere.
    """

    features: Features
    targets: GroupTargets | PairTargets
    source: str | None = None
    rows: RankRows | None = None

    def to(self, device: torch.device | str) -> Self:
        """Return the same batch on the device."""
        return type(self)(
            self.features.to(device),
            self.targets.to(device),
            self.source,
            self.rows and self.rows.to(device),
        )
