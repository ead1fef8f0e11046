"""Batches composed by label: P groups × K samples, and pairs of which no two share a subgroup.

Both work on tensors of labels that are read once. Each draws a batch of sample indices with a few vector
operations, and both are ordinary batch samplers for a DataLoader too.
"""

import warnings
from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Self

import torch
from torch import Tensor
from torch.utils.data import Sampler

from quaterion.utils.numbers import is_whole_number

__all__ = ["GroupBatchSampler", "TensorBatchSampler", "UniqueSubgroupBatchSampler"]


class TensorBatchSampler(Sampler[list[int]], ABC):
    """A batch sampler that draws whole tensors of indices.

    Args:
        generator: Source of randomness; None seeds one from torch's global generator for each epoch, as torch's own
            `RandomSampler` does.
    """

    def __init__(self, generator: torch.Generator | None) -> None:
        self.generator = generator

    @abstractmethod
    def __len__(self) -> int:
        """Batches in an epoch."""

    @abstractmethod
    def draw(self, generator: torch.Generator) -> Iterator[Tensor]:
        """Draws an epoch's batches.

        Args:
            generator: Source of randomness.

        Returns:
            int64 `[B]` index tensors.
        """

    def index_batches(self) -> Iterator[Tensor]:
        """An epoch's batches as tensors, which training from a cache uses."""
        generator = self.generator
        if generator is None:
            generator = torch.Generator()
            generator.manual_seed(int(torch.empty((), dtype=torch.int64).random_().item()))
        return self.draw(generator)

    def __iter__(self) -> Iterator[list[int]]:
        # A generator: a DataLoader makes the iterator before it draws its workers' seed, and ours comes after that.
        for batch in self.index_batches():
            yield batch.tolist()


class GroupBatchSampler(TensorBatchSampler):
    """Draws batches of P groups with K samples of each, without which a batch of many groups holds no positives.

    Groups are visited in random order, each as often as the others (give or take one), and each group's samples in
    random order, so that over an epoch samples of a group are drawn equally often (give or take one). A group with
    fewer than K samples gives all that it has, none of them twice: a copy of an object is no positive to learn from.
    Batches with such groups are smaller, and an epoch has so many more of them that it draws as many samples as there
    are.

    Args:
        groups: int64 `[N]`, group of each sample.
        groups_per_batch: P, at least 2.
        samples_per_group: K, at least 2.
        generator: Source of randomness; None uses torch's global one.

    Raises:
        ValueError: P is larger than the number of groups, or K larger than every group.

    Example:
        >>> sampler = GroupBatchSampler(torch.tensor([0, 0, 1, 1, 2, 2]), groups_per_batch=2, samples_per_group=2)
        >>> len(sampler), len(next(iter(sampler)))
        (1, 4)
    """

    def __init__(
        self,
        groups: Tensor,
        *,
        groups_per_batch: int,
        samples_per_group: int,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__(generator)
        _, self._group, counts = torch.unique(groups, return_inverse=True, return_counts=True)
        for name, value in (("groups_per_batch", groups_per_batch), ("samples_per_group", samples_per_group)):
            if not is_whole_number(value) or value < 2:
                raise ValueError(
                    f"{name}={value!r}; expected an int of at least 2, to compare objects with each other."
                )
        if groups_per_batch > len(counts):
            raise ValueError(
                f"groups_per_batch={groups_per_batch}, but the data set has {len(counts)} groups. "
                f"Expected at most {len(counts)}."
            )
        if samples_per_group > int(counts.max()):
            raise ValueError(
                f"samples_per_group={samples_per_group}, but the largest group has {int(counts.max())} samples. "
                f"Expected at most {int(counts.max())}."
            )
        self._counts, self._starts = counts, counts.cumsum(0) - counts
        self._p = groups_per_batch
        self.batch_size = groups_per_batch * samples_per_group
        """P · K, samples of a batch whose groups all have K."""
        self._given = counts.clamp(max=samples_per_group)  # samples that each group gives to a batch

    def __len__(self) -> int:
        # On average a batch holds P times what a group gives.
        return max(1, len(self._group) * len(self._given) // (self._p * int(self._given.sum())))

    def draw(self, generator: torch.Generator) -> Iterator[Tensor]:
        """See `TensorBatchSampler.draw`."""
        # Samples sorted by group, in random order inside each: a stable sort of a random permutation.
        shuffled = torch.randperm(len(self._group), generator=generator)
        by_group = shuffled[torch.argsort(self._group[shuffled], stable=True)]
        taken = torch.zeros_like(self._counts)  # how many samples of each group were drawn so far
        steps = torch.arange(int(self._given.max()))
        waiting = torch.empty(0, dtype=torch.int64)
        for _ in range(len(self)):
            if len(waiting) < self._p:
                # Groups left over from a round come before those of the next, and are in this batch only once.
                following = torch.randperm(len(self._counts), generator=generator)
                others = following[~torch.isin(following, waiting)][: self._p - len(waiting)]
                waiting = torch.cat([waiting, others, following[~torch.isin(following, others)]])
            chosen, waiting = waiting[: self._p], waiting[self._p :]  # [P]
            within = (taken[chosen, None] + steps) % self._counts[chosen, None]  # [P, K]
            taken[chosen] += self._given[chosen]
            yield by_group[(self._starts[chosen, None] + within)[steps < self._given[chosen, None]]]


class UniqueSubgroupBatchSampler(TensorBatchSampler):
    """Draws batches of pairs in which every pair has another subgroup, so that in-batch negatives are true negatives.

    Every pair is drawn once in an epoch. With B pairs to a batch there are N / B batches, or as many as the largest
    subgroup has pairs, whichever is more; they are of equal size, give or take one. A warning says where a large
    subgroup makes them less than half as large as asked for.

    Args:
        subgroups: int64 `[N]`, subgroup of each pair.
        batch_size: Most pairs in a batch.
        generator: Source of randomness; None uses torch's global one.

    Raises:
        ValueError: The batch size is no positive int, or all pairs are of one subgroup.

    Example:
        >>> sampler = UniqueSubgroupBatchSampler(torch.tensor([5, 5, 6, 7]), batch_size=4)
        >>> sorted(len(batch) for batch in sampler)
        [2, 2]
    """

    def __init__(self, subgroups: Tensor, *, batch_size: int, generator: torch.Generator | None = None) -> None:
        super().__init__(generator)
        if not is_whole_number(batch_size) or batch_size < 1:
            raise ValueError(f"batch_size={batch_size!r}; expected an int of at least 1.")
        _, self._subgroup, counts = torch.unique(subgroups, return_inverse=True, return_counts=True)
        if len(counts) == 1 and len(subgroups) > 1:
            raise ValueError(
                f"unique_subgroups=True, but all {len(subgroups)} pairs are of one subgroup, so every batch would hold "
                "one pair. Give the pairs subgroups, or leave unique_subgroups out."
            )
        largest, wanted = int(counts.max()), -(-len(subgroups) // batch_size)
        self._batches, self._batch_size = max(wanted, largest), batch_size
        if self._batches > 2 * wanted:
            warnings.warn(
                f"One subgroup has {largest} of {len(subgroups)} pairs, and no two of them may meet: an epoch has "
                f"{largest} batches of about {len(subgroups) / largest:.2g} pairs instead of {wanted} of up to "
                f"{batch_size}. Give the pairs finer subgroups, or leave unique_subgroups out.",
                stacklevel=2,
            )

    def __len__(self) -> int:
        return self._batches

    def widened(self, factor: int) -> Self:
        """A sampler of batches that are so many times as large.

        Args:
            factor: How many times.
        """
        return type(self)(self._subgroup, batch_size=factor * self._batch_size, generator=self.generator)

    def draw(self, generator: torch.Generator) -> Iterator[Tensor]:
        """See `TensorBatchSampler.draw`."""
        shuffled = torch.randperm(len(self._subgroup), generator=generator)
        names = torch.randperm(int(self._subgroup.max()) + 1, generator=generator)
        runs = shuffled[torch.argsort(names[self._subgroup[shuffled]], stable=True)]
        # Pairs of one subgroup stand side by side, and at most as many as there are batches: dealt out in turn like
        # cards, no two of them meet.
        order = torch.randperm(self._batches, generator=generator)
        return (runs[first :: self._batches] for first in order.tolist())
