"""The most similar vectors: found with fast products of matrices, then ordered by exact ones."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from quaterion_models.search.stored_vectors import StoredVectors

_QUERIES = 1024
_BLOCK_SCORES = 2**22  # scores of queries and rows that are computed at a time
_BLOCK_ROWS = (2048, 2**16)
_RESCORED_NUMBERS = 2**19  # small enough to stay in the processor's cache
_MORE = 16  # candidates beside those that are wanted


class Nearest(NamedTuple):
    """Rows of vectors, for each query.

    Attributes:
        rows: int64 `[Q, count]`; -1 where there are fewer.
        scores: float32 `[Q, count]`; -inf where there are fewer.
    """

    rows: NDArray[np.int64]
    scores: NDArray[np.float32]


Finder = Callable[[NDArray[np.float32], int], Nearest]
"""Finds candidates of queries: as many as asked for, in any order, with scores that are right but for rounding."""


def scan(
    stored: StoredVectors, queries: NDArray[np.float32], count: int, allowed: NDArray[np.bool_] | None, first: int = 0
) -> Nearest:
    """Compares queries with all vectors from a row on, in blocks.

    Args:
        stored: The vectors.
        queries: float32 `[Q, dimension]`, of length 1.
        count: How many to find.
        allowed: Which rows may be found, `[rows]`, or None for all.
        first: The row to begin with.

    Returns:
        For each query `count` rows with the highest scores, in any order.
    """
    found = Nearest(
        np.full((len(queries), count), -1, dtype=np.int64), np.full((len(queries), count), -np.inf, dtype=np.float32)
    )
    size = int(np.clip(_BLOCK_SCORES // max(len(queries), 1), *_BLOCK_ROWS))
    for start, block in stored.blocks(size, first):
        if allowed is None:
            rows, vectors = np.arange(start, start + len(block)), block
        else:
            inside = np.flatnonzero(allowed[start : start + len(block)])
            rows, vectors = inside + start, block if len(inside) == len(block) else block[inside]
        if len(rows):
            found = _with_block(found, rows, queries @ vectors.T)
    return found


def joined(one: Nearest, other: Nearest) -> Nearest:
    """Keeps the best of two findings for the same queries, as many as the first has.

    Args:
        one: `[Q, count]`.
        other: `[Q, some]`.

    Returns:
        `[Q, count]`, in any order.
    """
    count = one.rows.shape[1]
    rows = np.concatenate([one.rows, other.rows], axis=1)
    scores = np.concatenate([one.scores, other.scores], axis=1)
    best = np.argpartition(scores, -count, axis=1)[:, -count:]
    return Nearest(np.take_along_axis(rows, best, axis=1), np.take_along_axis(scores, best, axis=1))


def best_first(
    stored: StoredVectors, queries: NDArray[np.float32], k: int, total: int, find: Finder, *, exact: bool
) -> Nearest:
    """Orders what a finder finds by cosines that do not depend on how the queries are put together.

    Products of float32 matrices differ in the last digits with the sizes of the matrices, so equal vectors would get
    different scores. Candidates are compared once more in float64, and rounded; of equal scores the first row wins.

    Args:
        stored: The vectors.
        queries: float32 `[Q, dimension]`, of length 1.
        k: How many to return, `total` at the most.
        total: How many rows there are to be found.
        find: Finds candidates.
        exact: Whether no other row has a higher score than those it finds. Then it is asked again for more, until no
            row that it left out could be among the first `k`.

    Returns:
        `[Q, k]`, the highest scores first.
    """
    result = Nearest(np.empty((len(queries), k), dtype=np.int64), np.empty((len(queries), k), dtype=np.float32))
    # What rounding may do to a product of vectors of length 1, in either direction, at the most.
    rounding = (stored.dimension + 2) * 2.0**-24
    count, left = min(k + _MORE, total), np.arange(len(queries))
    while len(left):
        again = []
        size = min(max(_BLOCK_SCORES // count, 1), _QUERIES)
        for some in (left[start : start + size] for start in range(0, len(left), size)):
            found = find(queries[some], count)
            lowest = found.scores.min(axis=1)
            found = _rescored(stored, queries[some], found)
            result.rows[some], result.scores[some] = found.rows[:, :k], found.scores[:, :k]
            if exact and count < total:
                again.append(some[lowest + rounding >= found.scores[:, k - 1]])
        left = np.concatenate(again) if again else left[:0]
        count = min(count * 8, total)
    return result


def _with_block(found: Nearest, rows: NDArray[np.int64], scores: NDArray[np.float32]) -> Nearest:
    """Keeps the best of what was found and a block of further scores `[Q, len(rows)]`."""
    # Few of a block's scores are among the best, as soon as some blocks were seen: only those are moved.
    count = found.rows.shape[1]
    lowest = found.scores.min(axis=1)
    if np.isneginf(lowest).any() and len(rows) > count:
        own = np.partition(scores, -count, axis=1)[:, -count]
        lowest = np.maximum(lowest, np.nextafter(own, np.float32(-np.inf)))
    query, column = np.nonzero(scores > lowest[:, None])
    if not len(query):
        return found
    place = np.arange(len(query)) - np.searchsorted(query, np.arange(len(scores)))[query]
    new = Nearest(
        np.full((len(scores), place.max() + 1), -1, dtype=np.int64),
        np.full((len(scores), place.max() + 1), -np.inf, dtype=np.float32),
    )
    new.rows[query, place], new.scores[query, place] = rows[column], scores[query, column]
    return joined(found, new)


def _rescored(stored: StoredVectors, queries: NDArray[np.float32], found: Nearest) -> Nearest:
    scores = np.full(found.rows.shape, -np.inf, dtype=np.float32)
    query, column = np.nonzero(found.rows >= 0)
    size = max(_RESCORED_NUMBERS // stored.dimension, 1)
    for start in range(0, len(query), size):
        q, c = query[start : start + size], column[start : start + size]
        vectors = stored.take(found.rows[q, c]).astype(np.float64)
        scores[q, c] = np.einsum("nd,nd->n", vectors, queries[q]).clip(-1, 1)
    order = np.lexsort((found.rows, -scores), axis=1)
    return Nearest(np.take_along_axis(found.rows, order, axis=1), np.take_along_axis(scores, order, axis=1))
