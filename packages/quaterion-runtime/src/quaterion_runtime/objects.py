"""What is one object and what is many, and which graph takes an object."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
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
    if isinstance(inputs, np.ndarray):
        many = inputs.ndim >= 2 or (inputs.ndim == 1 and (inputs.dtype.kind in _OBJECT_KINDS or not inputs.size))
        return list(inputs) if many else [inputs]
    if isinstance(inputs, str | bytes | bytearray | memoryview):
        return [inputs]
    if isinstance(inputs, Sequence):
        return [inputs] if hasattr(inputs, "_fields") else inputs
    if isinstance(inputs, Iterator | AbstractSet):
        raise TypeError(
            f"encode takes a list, tuple, array or one object, got {type(inputs).__name__}: pass list(...) of it, or "
            "use encode_stream"
        )
    return [inputs]


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
