"""What is one object, and what is many."""

from __future__ import annotations

from collections.abc import ItemsView, Iterable, Iterator, KeysView, Mapping, Sequence, ValuesView
from typing import Any

import numpy as np
from torch import Tensor
from torch.utils.data import Dataset

# Kinds of one-dimensional arrays whose elements are objects of their own: text, bytes and Python objects.
_OBJECT_KINDS = frozenset("USTO")


def as_objects(inputs: Any) -> Sequence[Any]:
    """Decides what is one object and what is many.

    Many objects: a list, tuple (not a named one), range or other sequence; the rows of an array or tensor of two or
    more dimensions; the elements of a one-dimensional array of text or objects. Everything else is one object: text,
    bytes, a dict, a named tuple, an image, a one-dimensional array of numbers.

    Args:
        inputs: One object or many.

    Returns:
        The objects; one alone becomes a list of one.

    Raises:
        TypeError: For iterators and sets, whose length or order is not known, and for data sets of torch.

    Example:
        >>> as_objects("one text"), as_objects(("two", "texts"))
        (['one text'], ('two', 'texts'))
        >>> len(as_objects(np.zeros((5, 3)))), len(as_objects(np.zeros(3)))
        (5, 1)
    """
    refused = (Iterator, set, frozenset, KeysView, ValuesView, ItemsView, Dataset)
    if isinstance(inputs, refused) and not isinstance(inputs, Sequence):
        raise TypeError(
            f"encode takes a list, tuple, array or one object, got {type(inputs).__name__}: pass list(...) of it, or "
            "encode_stream(...), which reads it bit by bit"
        )
    return [inputs] if _is_one(inputs) else _elements(inputs)


def as_stream(objects: Any) -> Iterable[Any]:
    """Checks that something holds many objects, to be read one after the other.

    Args:
        objects: Any iterable that is not a single object in the sense of `as_objects`: generators, files, data
            sets of torch, lists, rows of arrays.

    Returns:
        The same; of a data set with a length, its items from the first to the last.

    Raises:
        TypeError: If it is one object, or cannot be iterated over.

    Example:
        >>> list(as_stream(text.upper() for text in ["a", "b"]))
        ['A', 'B']
    """
    if isinstance(objects, Dataset) and hasattr(objects, "__len__") and not isinstance(objects, Iterable):
        return _Items(objects)
    known = isinstance(objects, (Sequence, np.ndarray, Tensor, bytearray, memoryview))
    if isinstance(objects, Mapping) or (known and _is_one(objects)) or not isinstance(objects, Iterable):
        raise TypeError(
            f"encode_stream takes an iterable of objects, got one object of type {type(objects).__name__}: pass a "
            "list, a generator or a data set, or call encode for one object"
        )
    return objects


class _Items(Iterable[Any]):
    """The items of a map-style data set, which an iteration by itself need not end."""

    def __init__(self, dataset: Any) -> None:
        self._dataset = dataset

    def __len__(self) -> int:
        return len(self._dataset)

    def __iter__(self) -> Iterator[Any]:
        return (self._dataset[index] for index in range(len(self)))


def _is_one(inputs: Any) -> bool:
    if isinstance(inputs, np.ndarray):
        # An array without elements is no object at all.
        many = inputs.ndim >= 2 or (inputs.ndim == 1 and (inputs.dtype.kind in _OBJECT_KINDS or not inputs.size))
        return not many
    if isinstance(inputs, Tensor):
        return inputs.dim() < 2 and inputs.shape != (0,)
    if isinstance(inputs, (str, bytes, bytearray, memoryview)):
        return True
    return not isinstance(inputs, Sequence) or hasattr(inputs, "_fields")


def _elements(inputs: Any) -> Sequence[Any]:
    return list(inputs) if isinstance(inputs, (np.ndarray, Tensor)) else inputs
