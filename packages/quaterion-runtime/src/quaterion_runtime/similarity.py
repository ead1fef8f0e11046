"""Similarities of embeddings in every precision, and the most similar ones."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from quaterion_runtime.counts import positive

Similarity: TypeAlias = Callable[[NDArray[Any], NDArray[Any]], NDArray[np.float32]]

BLOCK_ROWS = 2048
"""Queries, and documents, whose similarities are computed at a time."""

MANY = 8
"""Binary vectors on the left from which on a product of matrices is faster than to count bits for each."""

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
    # Scaling the products instead of the right side saves a copy of it, which is the larger one in a search.
    single: NDArray[np.float32] = b.astype(np.float32, copy=False)
    cosines: NDArray[np.float32] = _unit(a) @ single.T
    cosines /= _lengths(single)
    return cosines.clip(-1, 1, out=cosines)


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
    if a.dtype.kind != "f":
        _check_width(a, b)
        if a.dtype != np.uint8:
            raise ValueError(f"expected binary vectors uint8 or float ones on the left, got {a.dtype} {list(a.shape)}")
        return _equal_signs(a, b)
    if a.ndim != 2 or -(-a.shape[1] // 8) != b.shape[1]:
        raise ValueError(f"vectors {list(a.shape)} do not fit binary ones {list(b.shape)}: expected as many bits")
    cosines = _times_signs(_unit(a), b) / np.float32(np.sqrt(max(1, a.shape[1])))
    return cosines.clip(-1, 1, out=cosines)


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
        ValueError: If `k` is not positive, the vectors do not fit, or a similarity is NaN.

    Example:
        >>> rows, _ = top_k(np.eye(2), np.array([[0.0, 1.0], [1.0, 0.1], [0.9, 0.0]]), 2)
        >>> rows
        array([[2, 1],
               [0, 1]])
    """
    k = min(positive("k", k), len(documents))
    best = np.empty((len(queries), k), dtype=np.int64)
    for start in range(0, len(queries), BLOCK_ROWS):
        block = queries[start : start + BLOCK_ROWS]
        keys = np.empty((len(block), 0), dtype=np.int64)
        for first in range(0, len(documents), BLOCK_ROWS):
            found = similarity(block, documents[first : first + BLOCK_ROWS])
            if np.isnan(found).any():
                raise ValueError("a similarity is NaN: expected vectors of finite numbers")
            keys = _largest(np.concatenate([keys, _sort_keys(found, first)], axis=1), k)
        best[start : start + BLOCK_ROWS] = np.sort(keys, axis=1)[:, ::-1]
    return _LAST_ROW - (best & _LAST_ROW), _scores(best)


def rescore(
    queries: NDArray[Any],
    documents: NDArray[Any],
    rows: NDArray[np.integer[Any]],
    k: int,
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Puts candidates into the order of their cosines, from vectors more exact than those they were found with.

    Binary vectors find candidates in a thirty-second of the memory; the best of several times k of them, scored again
    with int8 vectors, are almost those that float32 vectors find. Only the candidates' vectors are read, so `documents`
    may lie on the disk (`np.load(file, mmap_mode="r")`).

    Args:
        queries: `[N, D]`, float32 or int8.
        documents: `[M, D]`, float32 or int8.
        rows: Candidates of each query, rows of documents, `[N, C]`, as `top_k` gives them.
        k: How many to keep; of fewer candidates all.

    Returns:
        Rows of documents, int64 `[N, min(k, C)]`, the most similar first and of equals the first candidate; and their
        cosines.

    Raises:
        ValueError: If `k` is not positive, the vectors do not fit, or a row is none of the documents.

    Example:
        >>> from quaterion_runtime import quantize
        >>> documents = np.array([[0.9, 0.1, 0.1], [0.5, 0.4, 0.6], [-0.1, -0.9, 0.2]])
        >>> query = np.array([[0.5, 0.4, 0.5]])
        >>> binary, int8 = quantize(documents, "binary"), quantize(documents, "int8")
        >>> candidates, _ = top_k(quantize(query, "binary"), binary, 2, similarity=binary_similarity)
        >>> candidates, rescore(query, int8, candidates, 1)[0]
        (array([[0, 1]]), array([[1]]))
    """
    _check_width(queries, documents)
    if rows.ndim != 2 or len(rows) != len(queries) or rows.dtype.kind not in "iu":
        raise ValueError(f"expected rows [{len(queries)}, C] of documents, got {rows.dtype} {list(rows.shape)}")
    if rows.size and not 0 <= rows.min() <= rows.max() < len(documents):
        raise ValueError(f"rows must lie in 0..{len(documents) - 1}, they lie in {rows.min()}..{rows.max()}")
    k = min(positive("k", k), rows.shape[1])
    best = np.empty((len(rows), k), dtype=np.int64)
    scores = np.empty((len(rows), k), dtype=np.float32)
    step = max(1, BLOCK_ROWS // max(1, rows.shape[1]))
    for start in range(0, len(rows), step):
        some = rows[start : start + step]
        vectors = documents[some.reshape(-1)].astype(np.float32, copy=False)
        products = vectors.reshape(*some.shape, vectors.shape[1]) @ _unit(queries[start : start + step])[:, :, None]
        cosines = products[:, :, 0] / _lengths(vectors).reshape(some.shape)
        order = np.argsort(-cosines, axis=1, kind="stable")[:, :k]
        best[start : start + step] = np.take_along_axis(some, order, axis=1)
        scores[start : start + step] = np.take_along_axis(cosines, order, axis=1).clip(-1, 1)
    return best, scores


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
    unit: NDArray[np.float32] = single / _lengths(single)[:, None]
    return unit


def _lengths(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Lengths of vectors; infinite for those of zeros, so that what is divided by it becomes 0."""
    lengths: NDArray[np.float32] = np.sqrt(np.einsum("nd,nd->n", vectors, vectors))
    lengths[lengths < 1e-8] = np.inf
    return lengths


def _equal_signs(a: NDArray[np.uint8], b: NDArray[np.uint8]) -> NDArray[np.float32]:
    bits = 8 * b.shape[1]
    if len(a) >= MANY:
        return _times_signs(_signs(a, bits), b) / np.float32(bits)
    different = np.array([_ones(one ^ b) for one in a], dtype=np.float32).reshape(len(a), len(b))
    equal: NDArray[np.float32] = (bits - 2 * different) / np.float32(bits)
    return equal


def _times_signs(a: NDArray[np.float32], b: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Products with the signs of binary vectors, unpacked a block at a time: unpacked they take 32 times the memory."""
    products = np.empty((len(a), len(b)), dtype=np.float32)
    for start in range(0, len(b), BLOCK_ROWS):
        signs = _signs(b[start : start + BLOCK_ROWS], a.shape[1])
        products[:, start : start + BLOCK_ROWS] = a @ signs.T
    return products


def _signs(packed: NDArray[np.uint8], bits: int) -> NDArray[np.float32]:
    signs = np.unpackbits(packed, axis=1, count=bits).astype(np.float32)
    signs *= 2
    signs -= 1
    return signs


def _ones(packed: NDArray[np.uint8]) -> NDArray[np.int32]:
    """How many bits of each row are set."""
    # numpy before 2.0 has no bitwise_count.
    counts = np.bitwise_count(packed) if hasattr(np, "bitwise_count") else np.unpackbits(packed, axis=1)
    ones: NDArray[np.int32] = counts.sum(axis=1, dtype=np.int32)
    return ones


def _check_width(a: NDArray[Any], b: NDArray[Any]) -> None:
    if a.ndim != 2 or b.ndim != 2 or a.shape[1] != b.shape[1]:
        raise ValueError(f"expected matrices of one width, got {list(a.shape)} and {list(b.shape)}")
