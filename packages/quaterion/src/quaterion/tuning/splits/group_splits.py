"""Parts of group samples: objects of every group, or whole groups."""

from collections.abc import Sequence

import numpy as np

from quaterion.dataset.similarity_samples import SimilarityGroupSample
from quaterion.tuning.splits.contents import IntArray, content_of, numbered
from quaterion.tuning.splits.splitter import BoolArray, Splitter

__all__ = ["LEAST_GROUPS", "GroupedObjects", "WholeGroups"]

LEAST_GROUPS = 4
"""Groups of which two can be held out and two kept."""


class GroupedObjects(Splitter):
    """Group samples whose distinct objects are held out, some of each group.

    Each object counts for the group that it is first met in. One object of every group is never held out.

    Args:
        samples: The samples.
        rng: Random numbers.
        kept: Further samples, which are never held out.
    """

    def __init__(
        self,
        samples: Sequence[SimilarityGroupSample],
        rng: np.random.Generator,
        kept: Sequence[SimilarityGroupSample] = (),
    ) -> None:
        self._rng = rng
        count, samples = len(samples), [*samples, *kept]
        group = numbered(sample.group for sample in samples)
        self._content = numbered(content_of(sample.obj) for sample in samples)
        self._num_objects = int(self._content.max()) + 1
        self._stratum = group[np.unique(self._content, return_index=True)[1]]
        self._num_groups = int(group.max()) + 1
        # Groups whose objects all count for other groups keep their first one.
        first_of_group = self._content[np.unique(group, return_index=True)[1]]
        homeless = np.bincount(self._stratum, minlength=self._num_groups) == 0
        pinned = np.zeros(self._num_objects, dtype=bool)
        pinned[first_of_group[homeless]] = True
        pinned[self._content[count:]] = True
        free = np.bincount(self._stratum[~pinned], minlength=self._num_groups)
        keeps_one = np.bincount(self._stratum[pinned], minlength=self._num_groups) > 0
        self._most = np.where(keeps_one, free, np.maximum(free - 1, 0))
        self._movable = np.flatnonzero(~pinned & (self._most > 0)[self._stratum])

    def hold_out(self, count: int) -> IntArray:
        """See `Splitter.hold_out`; fewer are held out where groups are too small."""
        count = max(1, round(count * self._num_objects / len(self._content)))
        order = self._in_groups()
        strata = self._stratum[order]
        sizes = np.bincount(strata, minlength=self._num_groups)
        dealt = _apportion(sizes, self._most, count, self._rng)
        starts = np.zeros(self._num_groups, dtype=np.int64)
        np.cumsum(sizes[:-1], out=starts[1:])
        # `order` has groups in a random order, positions within them do not depend on it.
        by_group = order[np.argsort(strata, kind="stable")]
        rank = np.arange(len(by_group)) - starts[self._stratum[by_group]]
        fold = np.full(self._num_objects, -1)
        fold[by_group[rank < dealt[self._stratum[by_group]]]] = 0
        return fold[self._content]

    def deal(self, num_folds: int) -> IntArray:
        """See `Splitter.deal`."""
        order = self._in_groups()
        fold = np.full(self._num_objects, -1)
        fold[order] = np.arange(len(order)) % num_folds  # on from group to group, so that folds are of equal size
        return fold[self._content]

    def parts(self, fold: IntArray, number: int) -> tuple[BoolArray, BoolArray]:
        """See `Splitter.parts`."""
        return fold != number, fold == number

    def _in_groups(self) -> IntArray:
        """Objects that may be held out: groups in random order, objects of each in random order."""
        group_order = self._rng.permutation(self._num_groups)
        shuffled = self._rng.permutation(self._movable)
        order: IntArray = shuffled[np.argsort(group_order[self._stratum[shuffled]], kind="stable")]
        return order


class WholeGroups(Splitter):
    """Group samples of which whole groups are held out, of those with two distinct objects or more.

    Args:
        samples: The samples.
        rng: Random numbers.
    """

    def __init__(self, samples: Sequence[SimilarityGroupSample], rng: np.random.Generator) -> None:
        self._rng = rng
        self._group = numbered(sample.group for sample in samples)
        self._content = numbered(content_of(sample.obj) for sample in samples)
        self._num_groups = int(self._group.max()) + 1
        self._sizes = np.bincount(self._group, minlength=self._num_groups)  # samples
        pairs = np.unique(np.stack([self._group, self._content]), axis=1)
        self._movable = np.flatnonzero(np.bincount(pairs[0], minlength=self._num_groups) > 1)
        self.num_groups = len(self._movable)

    def hold_out(self, count: int) -> IntArray | None:
        """See `Splitter.hold_out`."""
        if self.num_groups < LEAST_GROUPS:
            return None
        order = self._rng.permutation(self._movable)
        held: list[int] = []
        total = 0
        for place, group in enumerate(order):
            left = len(order) - place
            size = self._sizes[group]
            must = left <= 2 - len(held)
            may = len(held) < len(order) - 2  # two are kept
            if may and (must or total + size / 2 <= count):
                held.append(group)
                total += size
        fold = np.full(self._num_groups, -1)
        fold[held] = 0
        folds_of_samples: IntArray = fold[self._group]
        return folds_of_samples

    def deal(self, num_folds: int) -> IntArray | None:
        """See `Splitter.deal`; a fold has two groups or more."""
        num_folds = min(num_folds, self.num_groups // 2)
        if num_folds < 2:
            return None
        by_size = np.lexsort((self._rng.random(self.num_groups), -self._sizes[self._movable]))
        blocks = -(-self.num_groups // num_folds)
        # Each fold gets one of the largest groups, one of the next largest, and so on.
        folds = np.concatenate([self._rng.permutation(num_folds) for _ in range(blocks)])[: self.num_groups]
        fold = np.full(self._num_groups, -1)
        fold[self._movable[by_size]] = folds
        folds_of_samples: IntArray = fold[self._group]
        return folds_of_samples

    def parts(self, fold: IntArray, number: int) -> tuple[BoolArray, BoolArray]:
        """See `Splitter.parts`; held-out samples whose object is in a kept group, too, are on neither side."""
        held = fold == number
        kept_objects = np.zeros(int(self._content.max()) + 1, dtype=bool)
        kept_objects[self._content[~held]] = True
        return ~held, held & ~kept_objects[self._content]


def _apportion(sizes: IntArray, most: IntArray, total: int, rng: np.random.Generator) -> IntArray:
    """Shares out a number in proportion to sizes, by largest remainders, with at most so many for each."""
    total = min(total, int(most.sum()))
    if not total:
        return np.zeros_like(sizes)
    wanted = total * sizes / sizes.sum()
    dealt: IntArray = np.minimum(wanted.astype(np.int64), most)
    while (left := total - int(dealt.sum())) > 0:
        short = np.where(dealt < most, wanted - dealt, -np.inf)
        first = np.lexsort((rng.random(len(sizes)), -short))[: min(left, int((dealt < most).sum()))]
        dealt[first] += 1
    return dealt
