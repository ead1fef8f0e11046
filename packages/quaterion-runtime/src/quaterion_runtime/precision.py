"""Embeddings in fewer bytes."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

Precision: TypeAlias = Literal["float32", "int8", "binary"]
PRECISIONS: tuple[Precision, ...] = ("float32", "int8", "binary")


def quantize(vectors: NDArray[Any], precision: Precision) -> NDArray[Any]:
    """Stores vectors in a quarter or in a thirty-second of their bytes.

    `"int8"` scales each vector so that its largest component is 127. The scale is not kept: cosine similarity does not
    depend on it, so no vectors are needed to calibrate with. `"binary"` keeps the sign of each component.

    Args:
        vectors: `[N, D]`.
        precision: `"float32"`, `"int8"` or `"binary"`.

    Returns:
        float32 `[N, D]`, int8 `[N, D]`, or uint8 `[N, ceil(D / 8)]`, eight components in a byte, the first one in the
        highest bit, the last byte filled with zeros.

    Raises:
        ValueError: If the precision is another one, or `vectors` is no matrix of finite numbers.

    Example:
        >>> quantize(np.array([[0.5, -0.25, 0.0]]), "int8")
        array([[127, -64,   0]], dtype=int8)
        >>> quantize(np.array([[0.5, -0.25, 0.0]]), "binary")
        array([[128]], dtype=uint8)
    """
    check_precision(precision)
    if vectors.ndim != 2 or vectors.dtype.kind not in "iuf" or not np.isfinite(vectors).all():
        raise ValueError(f"expected a matrix [N, D] of finite numbers, got {vectors.dtype} {list(vectors.shape)}")
    if precision == "float32":
        return vectors.astype(np.float32, copy=False)
    if precision == "binary":
        return np.packbits(vectors > 0, axis=1)
    largest = np.abs(vectors).max(axis=1, keepdims=True, initial=0.0)
    scaled = vectors / np.where(largest == 0, 1, largest) * 127
    return np.rint(scaled).astype(np.int8)


def empty(count: int, size: int, precision: Precision) -> NDArray[Any]:
    """Makes an array for vectors.

    Args:
        count: How many.
        size: Components of each, before they are stored in fewer bytes.
        precision: As for `quantize`.

    Returns:
        An array with the shape and dtype that `quantize` gives, its values undefined.
    """
    none = quantize(np.empty((0, size), dtype=np.float32), precision)
    return np.empty((count, none.shape[1]), dtype=none.dtype)


def check_precision(precision: str) -> None:
    """Checks the name of a precision.

    Raises:
        ValueError: If there is no such precision.
    """
    if precision not in PRECISIONS:
        raise ValueError(f"precision must be one of {list(PRECISIONS)}, got {precision!r}")
