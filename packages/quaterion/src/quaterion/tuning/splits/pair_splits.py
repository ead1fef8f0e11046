"""Parts of pairs that have no object in common."""

import heapq
from collections.abc import Sequence

import numpy as np

from quaterion.dataset.similarity_samples import SimilarityPairSample
from quaterion.tuning.splits.contents import IntArray, content_of, numbered
from quaterion.tuning.splits.linked import breadth_first, linked_sets
from quaterion.tuning.splits.splitter import BoolArray, Splitter

__all__ = ["LinkedPairs"]

STRATA = 10
"""Parts of the range of scores from each of which the same share is held out."""


class LinkedPairs(Splitter):
    """Pairs that are linked where they share an object, whichever side it is on; pairs that are linked stay together.

    Where nearly all pairs are linked, their objects are dealt to parts, and pairs with objects in several parts fall
    out.

    Args:
        samples: The pairs.
        scored: Whether scores differ, and parts should have the same.
        rng: Random numbers.
    """

    def __init__(self, samples: Sequence[SimilarityPairSample], *, scored: bool, rng: np.random.Generator) -> None:
        self._rng, self._scored = rng, scored
        objects = ((one.obj_a, one.obj_b, *one.negatives) for one in samples)
        self._objects = numbered(content_of(obj) for several in objects for obj in several)  # [E], pair after pair
        self._num_objects = int(self._objects.max()) + 1
        self._counts = np.fromiter((2 + len(one.negatives) for one in samples), dtype=np.int64, count=len(samples))
        self._starts = np.cumsum(self._counts) - self._counts
        self._pair = np.repeat(np.arange(len(samples)), self._counts)
        self._component_of_pair = linked_sets(self._objects, self._starts)
        self._sizes = np.bincount(self._component_of_pair)
        scores = np.fromiter((one.score for one in samples), dtype=np.float64, count=len(samples))
        self._two_valued = scored and bool(((scores == 0) | (scores == 1)).all())
        self._score = np.bincount(self._component_of_pair, weights=scores) / self._sizes

    def hold_out(self, count: int) -> IntArray:
        """See `Splitter.hold_out`: the fold of each object."""
        fold = np.full(self._num_objects, -1)
        total = len(self._component_of_pair)
        small = self._sizes <= count
        available = int(self._sizes[small].sum())
        cut = available < count / 2
        held = self._take(np.flatnonzero(small), count / (total if cut else max(available, 1)), most=total - 1)
        self._put(held, fold)
        if cut:
            self._cut_off(int(np.argmax(self._sizes)), count - int(self._sizes[held].sum()), fold)
        if (fold < 0).all() and 2 * self._sizes.min() <= total:
            self._put(np.array([np.argmin(self._sizes)]), fold)
        return fold

    def deal(self, num_folds: int) -> IntArray | None:
        """See `Splitter.deal`: the fold of each object.

        A fold has two pairs that are not linked, or more, and both kinds where scores are only 0 and 1.
        """
        fold = np.full(self._num_objects, -1)
        total, largest = len(self._component_of_pair), int(np.argmax(self._sizes))
        cut = self._sizes[largest] > total / 2
        units = np.flatnonzero(np.arange(len(self._sizes)) != largest) if cut else np.arange(len(self._sizes))
        num_folds = min(num_folds, (total if cut else len(units)) // 2)
        if self._two_valued and not cut:
            positive = int((self._score >= 0.5).sum())
            num_folds = min(num_folds, positive, len(units) - positive) if 0 < positive < len(units) else num_folds
        if num_folds < 2:
            return None
        loads = np.zeros(num_folds, dtype=np.int64)
        if cut:
            loads = self._cut_up(largest, num_folds, fold)
        dealt = np.full(len(self._sizes), -1)
        ties = self._rng.random(num_folds + len(units)).tolist()
        heap = list(zip(loads.tolist(), ties, range(num_folds), strict=False))
        heapq.heapify(heap)
        order = units[np.lexsort((self._rng.random(len(units)), -self._sizes[units], self._strata(units)))]
        for unit, size, tie in zip(order.tolist(), self._sizes[order].tolist(), ties[num_folds:], strict=True):
            load, _, place = heap[0]
            dealt[unit] = place
            heapq.heapreplace(heap, (load + size, tie, place))
        whole = dealt[self._component_of_pair][self._pair]
        fold[self._objects[whole >= 0]] = whole[whole >= 0]
        return fold

    def parts(self, fold: IntArray, number: int) -> tuple[BoolArray, BoolArray]:
        """See `Splitter.parts`; pairs of which only some objects are held out are on neither side."""
        there = (fold == number)[self._objects]
        return ~np.logical_or.reduceat(there, self._starts), np.logical_and.reduceat(there, self._starts)

    def _put(self, components: IntArray, fold: IntArray) -> None:
        fold[self._objects[np.isin(self._component_of_pair, components)[self._pair]]] = 0

    def _take(self, units: IntArray, share: float, *, most: int) -> IntArray:
        """Components that make up a share of the pairs, in all ranges of the score, and never all pairs."""
        order = units[np.lexsort((self._rng.random(len(units)), self._strata(units)))]
        taken, held, seen = np.zeros(len(order), dtype=bool), 0, 0
        for place, size in enumerate(self._sizes[order].tolist()):
            seen += size
            if held + size / 2 <= share * seen and held + size <= most:
                taken[place] = True
                held += size
        if self._two_valued:
            self._take_both_kinds(order, taken)
        return order[taken]

    def _take_both_kinds(self, order: IntArray, taken: BoolArray) -> None:
        for kind in (True, False):
            places = self._rng.permutation(np.flatnonzero((self._score[order] >= 0.5) == kind))
            if len(places) > 1 and (taken[places].all() or not taken[places].any()):
                taken[places[0]] = not taken[places[0]]

    def _strata(self, units: IntArray) -> IntArray:
        """Number of the range of scores that a component lies in; of two kinds the rarer one is first."""
        if not self._scored:
            return np.zeros(len(units), dtype=np.int64)
        if self._two_valued:
            positive = self._score[units] >= 0.5
            kinds: IntArray = (positive == (2 * positive.sum() > len(units))).astype(np.int64)
            return kinds
        rank = np.empty(len(units), dtype=np.int64)
        rank[np.lexsort((self._rng.random(len(units)), self._score[units]))] = np.arange(len(units))
        return rank * STRATA // max(1, len(units))

    def _cut_off(self, component: int, count: int, fold: IntArray) -> None:
        """Holds out so many pairs of one component, or fewer where too many would fall out."""
        place, low, high = self._walk(component)
        ends = np.unique(high)
        inside = np.searchsorted(np.sort(high), ends, side="right")
        outside = len(low) - np.searchsorted(np.sort(low), ends, side="right")
        # What falls out is at most half of what was to be kept.
        fine = np.flatnonzero((inside <= count) & (2 * outside >= len(low) - count))
        if len(fine):
            fold[(place >= 0) & (place <= ends[fine[-1]])] = 0

    def _cut_up(self, component: int, num_folds: int, fold: IntArray) -> IntArray:
        """Deals the objects of one component to folds; returns how many pairs each has."""
        place, low, high = self._walk(component)
        cuts = np.sort(high)[[len(high) * number // num_folds - 1 for number in range(1, num_folds)]]
        fold[place >= 0] = np.searchsorted(cuts, place[place >= 0])
        first, last = np.searchsorted(cuts, low), np.searchsorted(cuts, high)
        return np.bincount(first[first == last], minlength=num_folds)

    def _walk(self, component: int) -> tuple[IntArray, IntArray, IntArray]:
        """Puts the objects of a component in an order in which those of a pair are near each other.

        Returns:
            Place of each object, -1 of others; first and last place of each pair of the component.
        """
        chosen = self._component_of_pair == component
        members, objects = np.unique(self._objects[chosen[self._pair]], return_inverse=True)
        counts = self._counts[chosen]
        starts = np.cumsum(counts) - counts
        places = breadth_first(objects, starts, self._rng)
        place = np.full(self._num_objects, -1)
        place[members] = places
        of_pairs = places[objects]
        return place, np.minimum.reduceat(of_pairs, starts), np.maximum.reduceat(of_pairs, starts)
