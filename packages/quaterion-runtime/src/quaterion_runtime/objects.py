"""What is one object and what is many, and which graph takes an object."""

from __future__ import annotations

import os
from collections.abc import ItemsView, Iterable, Iterator, KeysView, Mapping, Sequence, ValuesView
from typing import Any

import numpy as np

from quaterion_runtime.folder import Graph

# Kinds of one-dimensional arrays whose elements are objects of their own: text, bytes and Python objects.
_OBJECT_KINDS = frozenset("USTO")


def as_objects(inputs: Any) -> Sequence[Any]:
    """Decides what is one object and what is many, as `SimilarityModel.encode` does.

    Args:
        inputs: One object or many.

    Returns:
        The objects; one alone becomes a list of one.

    Raises:
        TypeError: For iterators and sets, whose length or order is not known.

    Example:
        >>> as_objects("one text"), as_objects(("two", "texts"))
        (['one text'], ('two', 'texts'))
        >>> len(as_objects(np.zeros((5, 3)))), len(as_objects(np.zeros(3)))
        (5, 1)
    """
    refused = (Iterator, set, frozenset, KeysView, ValuesView, ItemsView)
    if isinstance(inputs, refused) and not isinstance(inputs, Sequence):
        raise TypeError(
            f"encode takes a list, tuple, array or one object, got {type(inputs).__name__}: pass list(...) of it, or "
            "use encode_stream"
        )
    if _is_one(inputs):
        return [inputs]
    return list(inputs) if isinstance(inputs, np.ndarray) else inputs


def as_stream(objects: Iterable[Any]) -> Iterable[Any]:
    """Checks that something holds many objects, to be read one after the other.

    Args:
        objects: Any iterable that is not a single object in the sense of `as_objects`.

    Returns:
        The same.

    Raises:
        TypeError: If it is one object, or cannot be iterated over.

    Example:
        >>> list(as_stream(text.upper() for text in ["a", "b"]))
        ['A', 'B']
    """
    known = isinstance(objects, Sequence | np.ndarray | bytearray | memoryview)
    if isinstance(objects, Mapping) or (known and _is_one(objects)) or not isinstance(objects, Iterable):
        raise TypeError(
            f"encode_stream takes an iterable of objects, got one object of type {type(objects).__name__}: pass a list "
            "or a generator, or call encode for one object"
        )
    return objects


def _is_one(inputs: Any) -> bool:
    if isinstance(inputs, np.ndarray):
        # An array without elements is no object at all.
        many = inputs.ndim >= 2 or (inputs.ndim == 1 and (inputs.dtype.kind in _OBJECT_KINDS or not inputs.size))
        return not many
    if isinstance(inputs, str | bytes | bytearray | memoryview):
        return True
    return not isinstance(inputs, Sequence) or hasattr(inputs, "_fields")


def graph_for(obj: Any, graphs: Sequence[Graph], position: int) -> int:
    """Chooses the graph that takes an object.

    Args:
        obj: The object.
        graphs: The graphs of a folder.
        position: Where the object stands among the caller's, for the message.

    Returns:
        Number of the graph.

    Raises:
        TypeError: If none takes it.
    """
    if len(graphs) == 1:
        return 0
    kind = _kind(obj)
    for number, graph in enumerate(graphs):
        if graph.accepts == kind:
            return number
    raise TypeError(
        f"the model takes {' or '.join(str(graph.accepts) for graph in graphs)}, got {type(obj).__name__} at position "
        f"{position}"
    )


def _kind(obj: Any) -> str:
    if isinstance(obj, str):
        return "text"
    if isinstance(obj, os.PathLike | bytes | bytearray | memoryview) or hasattr(obj, "convert"):
        return "image"
    if isinstance(obj, np.ndarray):
        return "vector" if obj.ndim == 1 else "image"
    return "vector" if isinstance(obj, Sequence) else type(obj).__name__
