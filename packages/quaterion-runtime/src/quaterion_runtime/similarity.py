"""Similarities of embeddings in every precision, and the most similar ones."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Similarity: TypeAlias = Callable[[NDArray[Any], NDArray[Any]], NDArray[np.float32]]

BLOCK_ROWS = 2048
"""Queries, and documents, whose similarities are computed at a time."""

_LAST_ROW = 2**32 - 1
_LOWER_BITS = np.int32(2**31 - 1)


def cosine_similarity(a: NDArray[Any], b: NDArray[Any]) -> NDArray[np.float32]:
    """Computes cosines of all pairs; a vector of zeros has similarity 0 to all.

    Args:
        a: `[N, D]`.
        b: `[M, D]`.

    Returns:
        float32 `[N, M]`, in [-1, 1].

    Raises:
        ValueError: If they are no matrices of one width.

    Example:
        >>> cosine_similarity(np.array([[1.0, 0.0]]), np.array([[2.0, 0.0], [1.0, 1.0]])).round(2)
        array([[1.  , 0.71]], dtype=float32)
    """
    _check_width(a, b)
    cosines: NDArray[np.float32] = _unit(a) @ _unit(b).T
    return cosines.clip(-1, 1)


def int8_similarity(a: NDArray[Any], b: NDArray[Any]) -> NDArray[np.float32]:
    """Computes cosines of all pairs, of vectors of precision `"int8"`; one of the sides may be float32.

    Args:
        a: `[N, D]`.
        b: `[M, D]`.

    Returns:
        float32 `[N, M]`, in [-1, 1].

    Raises:
        ValueError: If they are no matrices of one width.

    Example:
        >>> int8_similarity(np.array([[127, 0]], dtype=np.int8), np.array([[100, 100]], dtype=np.int8)).round(2)
        array([[0.71]], dtype=float32)
    """
    return cosine_similarity(a, b)  # a scale for each vector does not change its cosines


def binary_similarity(a: NDArray[Any], b: NDArray[Any]) -> NDArray[np.float32]:
    """Computes the share of components with the same sign, from -1 (none) to 1 (all), of all pairs.

    With binary vectors on both sides that is 1 − 2 · Hamming distance / D, D counted with the filling of the last
    byte. With float32 vectors on the left it is the cosine between each and the signs of the right ones, which orders
    like the dot product with them: more exact, at no cost in memory.

    Args:
        a: Binary vectors, uint8 `[N, ceil(D / 8)]`, or float `[N, D]`.
        b: Binary vectors, uint8 `[M, ceil(D / 8)]`.

    Returns:
        float32 `[N, M]`, in [-1, 1].

    Raises:
        ValueError: If they are no matrices of one width, or the right side is not binary.

    Example:
        >>> binary_similarity(np.array([[0b11110000]], dtype=np.uint8), np.array([[0b11000000]], dtype=np.uint8))
        array([[0.5]], dtype=float32)
    """
    if b.dtype != np.uint8 or b.ndim != 2:
        raise ValueError(f"expected binary vectors uint8 [M, bytes] on the right, got {b.dtype} {list(b.shape)}")
    if a.dtype.kind == "f":
        if a.ndim != 2 or -(-a.shape[1] // 8) != b.shape[1]:
            raise ValueError(f"vectors {list(a.shape)} do not fit binary ones {list(b.shape)}: expected as many bits")
        signs = np.unpackbits(b, axis=1, count=a.shape[1]).astype(np.float32) * 2 - 1
        return cosine_similarity(a, signs)
    _check_width(a, b)
    bits = 8 * b.shape[1]
    different = np.empty((len(a), len(b)), dtype=np.float32)
    for row, one in enumerate(a):
        different[row] = _ones(one ^ b)
    return 1 - different * np.float32(2 / bits)


def top_k(
    queries: NDArray[Any], documents: NDArray[Any], k: int, *, similarity: Similarity = cosine_similarity
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Finds the most similar documents of each query, in blocks of bounded memory.

    Args:
        queries: `[N, D]`, in the precision that `similarity` takes on the left.
        documents: `[M, D]`, in the precision that it takes on the right.
        k: How many; of fewer documents all.
        similarity: `cosine_similarity`, `int8_similarity`, `binary_similarity`, or a function like them.

    Returns:
        Rows of documents, int64 `[N, min(k, M)]`, the most similar first and of equals the first; and their
        similarities.

    Raises:
        ValueError: If `k` is not positive, or the vectors do not fit.

    Example:
        >>> rows, _ = top_k(np.eye(2), np.array([[0.0, 1.0], [1.0, 0.1], [0.9, 0.0]]), 2)
        >>> rows
        array([[2, 1],
               [0, 1]])
    """
    if k < 1:
        raise ValueError(f"k must be 1 or more, got {k}")
    k = min(k, len(documents))
    best = np.empty((len(queries), k), dtype=np.int64)
    for start in range(0, len(queries), BLOCK_ROWS):
        block = queries[start : start + BLOCK_ROWS]
        keys = np.empty((len(block), 0), dtype=np.int64)
        for first in range(0, len(documents), BLOCK_ROWS):
            found = similarity(block, documents[first : first + BLOCK_ROWS])
            keys = _largest(np.concatenate([keys, _sort_keys(found, first)], axis=1), k)
        best[start : start + BLOCK_ROWS] = np.sort(keys, axis=1)[:, ::-1]
    return _LAST_ROW - (best & _LAST_ROW), _scores(best)


def _sort_keys(scores: NDArray[np.float32], first_row: int) -> NDArray[np.int64]:
    """One number for each score and row: larger for a larger score, and of equal scores for the first row."""
    bits = (scores + np.float32(0)).view(np.int32)  # -0 becomes 0
    ordered = np.where(bits < 0, bits ^ _LOWER_BITS, bits).astype(np.int64)
    return (ordered << 32) + (_LAST_ROW - first_row - np.arange(scores.shape[1]))


def _scores(keys: NDArray[np.int64]) -> NDArray[np.float32]:
    ordered = (keys >> 32).astype(np.int32)
    return np.where(ordered < 0, ordered ^ _LOWER_BITS, ordered).view(np.float32)


def _largest(keys: NDArray[np.int64], k: int) -> NDArray[np.int64]:
    return keys if keys.shape[1] <= k else np.partition(keys, -k, axis=1)[:, -k:]


def _unit(vectors: NDArray[Any]) -> NDArray[np.float32]:
    single: NDArray[np.float32] = vectors.astype(np.float32, copy=False)
    norms = np.linalg.norm(single, axis=1, keepdims=True)
    return np.divide(single, np.where(norms < 1e-8, np.inf, norms), dtype=np.float32)


def _ones(packed: NDArray[np.uint8]) -> NDArray[np.int32]:
    """How many bits of each row are set."""
    # numpy before 2.0 has no bitwise_count.
    counts = np.bitwise_count(packed) if hasattr(np, "bitwise_count") else np.unpackbits(packed, axis=1)
    ones: NDArray[np.int32] = counts.sum(axis=1, dtype=np.int32)
    return ones


def _check_width(a: NDArray[Any], b: NDArray[Any]) -> None:
    if a.ndim != 2 or b.ndim != 2 or a.shape[1] != b.shape[1]:
        raise ValueError(f"expected matrices of one width, got {list(a.shape)} and {list(b.shape)}")
