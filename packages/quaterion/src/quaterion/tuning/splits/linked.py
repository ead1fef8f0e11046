"""Sets of objects as a graph: which of them hang together, and an order in which those of a set are near each other."""

import numpy as np

from quaterion.tuning.splits.contents import IntArray

__all__ = ["breadth_first", "linked_sets"]


def linked_sets(objects: IntArray, starts: IntArray) -> IntArray:
    """Numbers sets so that those have the same number that have an object in common, directly or through others.

    Args:
        objects: Objects of all sets, `[E]`, set after set.
        starts: Where each set begins, `[N]`.

    Returns:
        `[N]`, from 0.

    Example:
        >>> linked_sets(np.array([0, 1, 2, 3, 1, 4]), np.array([0, 2, 4]))
        array([0, 1, 0])
    """
    set_of = np.repeat(np.arange(len(starts)), np.diff(starts, append=len(objects)))
    parent = np.arange(int(objects.max()) + 1)
    while True:
        roots = parent[objects]
        least = np.minimum.reduceat(roots, starts)
        if (roots == least[set_of]).all():
            numbers: IntArray = np.unique(least, return_inverse=True)[1]
            return numbers
        np.minimum.at(parent, roots, least[set_of])
        while (parent[parent] != parent).any():
            parent = parent[parent]


def breadth_first(objects: IntArray, starts: IntArray, rng: np.random.Generator) -> IntArray:
    """The order of Cuthill and McKee ("Reducing the bandwidth of sparse symmetric matrices", 1969).

    Args:
        objects: Objects of all sets, `[E]`, set after set, numbered from 0; all hang together.
        starts: Where each set begins, `[N]`.
        rng: Chooses where to begin, among objects of the fewest sets.

    Returns:
        Place of each object in the order.

    Example:
        >>> chain = np.array([0, 2, 2, 1, 1, 3])
        >>> place = breadth_first(chain, np.array([0, 2, 4]), np.random.default_rng(0))
        >>> np.abs(place[chain[::2]] - place[chain[1::2]])
        array([1, 1, 1])
    """
    counts = np.bincount(objects)
    set_of = np.repeat(np.arange(len(starts)), np.diff(starts, append=len(objects)))
    sets = set_of[np.argsort(objects, kind="stable")].tolist()
    first_set = [0, *np.cumsum(counts).tolist()]
    members, first_member = objects.tolist(), [*starts.tolist(), len(objects)]
    degree = counts.tolist()
    order = [int(rng.choice(np.flatnonzero(counts == counts.min())))]
    met, used = bytearray(len(counts)), bytearray(len(starts))
    met[order[0]] = True
    for one in order:
        fresh = []
        for number in sets[first_set[one] : first_set[one + 1]]:
            if used[number]:
                continue
            used[number] = True
            for other in members[first_member[number] : first_member[number + 1]]:
                if not met[other]:
                    met[other] = True
                    fresh.append(other)
        fresh.sort(key=degree.__getitem__)
        order.extend(fresh)
    place = np.empty(len(counts), dtype=np.int64)
    place[order] = np.arange(len(order))
    return place
