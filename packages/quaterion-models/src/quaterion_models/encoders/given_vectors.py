"""Vectors that were computed elsewhere: read from whatever holds numbers, and checked."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


def as_row(obj: Any, size: int, what: str) -> NDArray[Any]:
    """Reads one vector.

    Args:
        obj: An array, a tensor on any device, or a list or tuple of numbers.
        size: Length that it must have.
        what: What to call it in a message.

    Returns:
        `[size]` of a real dtype.

    Raises:
        TypeError: If it holds anything but real numbers.
        ValueError: If it has another length.

    Example:
        >>> as_row([1, 2], 2, "a vector")
        array([1, 2])
        >>> as_row([1, 2], 3, "a vector")
        Traceback (most recent call last):
        ValueError: a vector has shape [2], expected [3]
    """
    try:
        row = _real(obj) if isinstance(obj, Tensor) else np.asarray(obj)
    except (ValueError, TypeError):  # lists of unequal lengths, a sparse tensor
        row = np.empty(0, dtype=object)
    if row.dtype.kind not in "biuf":
        raise TypeError(
            f"{what} must be {size} real numbers in an array, a tensor or a list, got {obj!r:.80} of type "
            f"{type(obj).__name__}"
        )
    if row.shape != (size,):
        raise ValueError(f"{what} has shape {list(row.shape)}, expected [{size}]")
    return row


def as_matrix(vectors: Any, count: int, size: int, what: Callable[[int], str], source: str) -> Tensor:
    """Reads several vectors and checks them.

    Args:
        vectors: A tensor on any device or an array `[count, size]`, or `count` of what `as_row` takes.
        count: How many there must be.
        size: Length of each.
        what: Describes the vector of a row, for messages.
        source: What gave the vectors, for messages.

    Returns:
        `[count, size]` float32, on the tensor's device, in memory of its own.

    Raises:
        TypeError: If it holds anything but real numbers.
        ValueError: If the shape is another one, or a number is NaN or infinite as a float32.
    """
    if isinstance(vectors, Tensor) and not vectors.is_complex() and vectors.shape == (count, size):
        # A copy: what gave the vectors may write the next ones into the same tensor.
        matrix = vectors.detach().to(torch.float32, copy=True)
    else:
        try:
            given = list(vectors)
        except TypeError as error:
            raise TypeError(
                f"{source} must give {count} vectors of {size} numbers, got {type(vectors).__name__}"
            ) from error
        if len(given) != count:
            raise ValueError(f"{source} gave {len(given)} vectors for {count} objects, expected one each")
        matrix = stack_rows([as_row(row, size, what(place)) for place, row in enumerate(given)], size)
    check_finite(matrix, what)
    return matrix


def stack_rows(rows: Sequence[NDArray[Any]], size: int) -> Tensor:
    """Puts checked vectors together, as float32 `[B, size]`."""
    matrix = np.empty((len(rows), size), dtype=np.float32)
    with np.errstate(over="ignore"):  # what does not fit into a float32 becomes infinite, and is named as that
        for place, row in enumerate(rows):
            matrix[place] = row
    return torch.from_numpy(matrix)


def check_finite(matrix: Tensor, what: Callable[[int], str]) -> None:
    """Checks that all numbers are finite.

    Args:
        matrix: `[B, D]`.
        what: Describes the vector of a row, for the message.

    Raises:
        ValueError: If one is NaN or infinite; the message says where.
    """
    # On the CPU by numpy, which leaves no threads behind that wait for work.
    finite = np.isfinite(matrix.numpy()) if matrix.device.type == "cpu" else torch.isfinite(matrix).cpu().numpy()
    if not finite.all():
        row, column = np.argwhere(~finite)[0].tolist()
        raise ValueError(
            f"{what(row)} holds {float(matrix[row, column])} at place {column}, expected finite numbers. Leave such "
            "objects out, or compute their vectors again"
        )


def _real(tensor: Tensor) -> NDArray[Any]:
    plain = tensor.detach().cpu()
    return plain.numpy() if plain.is_complex() else plain.float().numpy()
