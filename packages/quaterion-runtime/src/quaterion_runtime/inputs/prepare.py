"""What every kind of input offers, and which class offers it."""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quaterion_runtime.folder import ArrayInput, GraphInput, PixelsInput

_ABSENT = object()


class Prepared(ABC):
    """Objects that are ready to be put into batches."""

    @abstractmethod
    def lengths(self) -> NDArray[np.int64]:
        """Costs of the N objects, so that batches hold objects of like length: int64 `[N]`."""

    @abstractmethod
    def batch(self, rows: Sequence[int]) -> dict[str, NDArray[Any]]:
        """The graph's inputs for some of the objects.

        Args:
            rows: Which of the N objects.

        Returns:
            Names of graph inputs to arrays, one row for each object.
        """


class InputPreparer(ABC):
    """Prepares the objects of one graph input."""

    @abstractmethod
    def prepare(self, objects: Sequence[Any], side: str, positions: Sequence[int]) -> Prepared:
        """Prepares objects, from which the input's field has been picked.

        Args:
            objects: N objects.
            side: `"query"` or `"document"`.
            positions: Where they stand among the caller's objects, for messages.

        Returns:
            The objects, prepared.

        Raises:
            TypeError: If an object is of another kind than the model takes.
            ValueError: If one cannot be read, or has another size.
        """


def pick(objects: Sequence[Any], field: str | int | None, positions: Sequence[int]) -> Sequence[Any]:
    """Picks a field of records.

    Args:
        objects: N records: mappings, sequences, or objects with attributes.
        field: A key, an attribute or an index; None for the objects themselves.
        positions: Where they stand among the caller's objects, for messages.

    Returns:
        N values.

    Raises:
        ValueError: If a record lacks the field.

    Example:
        >>> pick([{"title": "one"}, {"title": "two"}], "title", [0, 1])
        ['one', 'two']
    """
    if field is None:
        return objects
    return [_picked(obj, field, position) for obj, position in zip(objects, positions, strict=True)]


def _picked(obj: Any, field: str | int, position: int) -> Any:
    if isinstance(obj, Mapping):
        if field in obj:  # and not a default, which some mappings would also keep
            return obj[field]
    elif isinstance(field, int):
        if isinstance(obj, tuple | list) and -len(obj) <= field < len(obj):
            return obj[field]
    else:
        found = getattr(obj, field, _ABSENT)
        if found is not _ABSENT and not inspect.isroutine(found):  # a method (`index` of a list, say) is no field
            return found
    has = f"the keys {list(obj)[:20]}" if isinstance(obj, Mapping) else f"the type {type(obj).__name__}"
    raise ValueError(
        f"the record at position {position} has no field {field!r}, it has {has}. The model was trained on records "
        "with that field: pass such records"
    )


def preparer_of(described: GraphInput) -> InputPreparer:
    """Builds what prepares one input of a graph.

    Args:
        described: The input, as the folder describes it.

    Returns:
        Its preparer.

    Raises:
        RuntimeFolderError: If a file of the input is damaged.
        ImportError: If it takes images and Pillow is not installed.
    """
    if isinstance(described, ArrayInput):
        from quaterion_runtime.inputs.arrays import ArrayPreparer

        return ArrayPreparer(described)
    if isinstance(described, PixelsInput):
        from quaterion_runtime.inputs.pixels import PixelsPreparer

        return PixelsPreparer(described)
    from quaterion_runtime.inputs.text import TextPreparer

    return TextPreparer(described)
