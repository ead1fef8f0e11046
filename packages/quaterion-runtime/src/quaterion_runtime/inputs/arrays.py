"""Vectors and other arrays of numbers, which go into a graph as they are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quaterion_runtime.folder import ArrayInput
from quaterion_runtime.inputs.prepare import InputPreparer, Prepared


class ArrayPreparer(InputPreparer):
    """Checks arrays.

    Args:
        described: The input, as the folder describes it.
    """

    def __init__(self, described: ArrayInput) -> None:
        self._described = described

    def prepare(self, objects: Sequence[Any], side: str, positions: Sequence[int]) -> Prepared:  # noqa: ARG002
        """Checks arrays; arguments as for the base."""
        arrays = [self._array(obj, position) for obj, position in zip(objects, positions, strict=True)]
        return _Arrays(self._described.tensors["array"], arrays)

    def _array(self, obj: Any, position: int) -> NDArray[Any]:
        shape, dtype = self._described.shape, np.dtype(self._described.dtype)
        wanted = "iubf" if dtype.kind == "f" else "iub"
        try:
            numbers = np.asarray(obj)
        except ValueError:  # lists of different lengths
            numbers = np.asarray(None)
        if numbers.dtype.kind not in wanted:
            raise TypeError(
                f"the model takes arrays {list(shape)} of {dtype}, got {type(obj).__name__} at position {position}"
            )
        if numbers.shape != shape:
            raise ValueError(
                f"the model takes arrays of shape {list(shape)}, got {list(numbers.shape)} at position {position}"
            )
        if not np.isfinite(numbers).all():
            raise ValueError(f"the array at position {position} has NaN or infinite values, expected finite numbers")
        limits = np.finfo(dtype) if dtype.kind == "f" else np.iinfo(dtype)
        if numbers.max() > limits.max or numbers.min() < limits.min:
            raise ValueError(f"the array at position {position} has numbers beyond those of {dtype}, which it takes")
        return numbers.astype(dtype)


class _Arrays(Prepared):
    """Arrays of one shape."""

    def __init__(self, name: str, arrays: Sequence[NDArray[Any]]) -> None:
        self._name, self._arrays = name, arrays

    def lengths(self) -> NDArray[np.int64]:
        return np.zeros(len(self._arrays), dtype=np.int64)

    def batch(self, rows: Sequence[int]) -> dict[str, NDArray[Any]]:
        return {self._name: np.stack([self._arrays[row] for row in rows])}
