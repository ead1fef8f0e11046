"""What the caller wants of the vectors that a model gives."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from quaterion_runtime.folder import RuntimeFolder
from quaterion_runtime.precision import Precision, check_precision


@dataclass(frozen=True)
class Shape:
    """Size, length and precision of vectors.

    Attributes:
        size: Components to keep.
        scale: Whether to scale what is kept to length 1.
        precision: As what to store it.
    """

    size: int
    scale: bool
    precision: Precision

    def cut(self, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        """Keeps components, and scales them.

        Args:
            vectors: `[B, D]`.

        Returns:
            `[B, size]`.
        """
        vectors = vectors[:, : self.size]
        if not self.scale:
            return vectors
        norms = np.linalg.norm(vectors, axis=1, keepdims=True)
        scaled: NDArray[np.float32] = np.divide(vectors, np.maximum(norms, 1e-12), dtype=np.float32)
        return scaled


def shape_of(folder: RuntimeFolder, normalize: bool, dimensions: int | None, precision: Precision) -> Shape:
    """Checks what is wanted of a model's vectors.

    Args:
        folder: What the model's folder says.
        normalize: Whether vectors are to have length 1.
        dimensions: Components to keep; None for all.
        precision: As what to store them.

    Returns:
        The shape.

    Raises:
        ValueError: If an argument is out of range, or the model was trained for other dimensions.
    """
    check_precision(precision)
    size = folder.embedding_size
    if dimensions is None:
        return Shape(size, normalize and not folder.normalized, precision)
    if type(dimensions) is not int or not 1 <= dimensions <= size:
        raise ValueError(f"dimensions must lie in 1..{size}, got {dimensions!r}")
    if folder.dimensions is not None and dimensions not in (size, *folder.dimensions):
        raise ValueError(f"the model was trained for the dimensions {list(folder.dimensions)}, got {dimensions}")
    return Shape(dimensions, normalize or folder.normalized, precision)
