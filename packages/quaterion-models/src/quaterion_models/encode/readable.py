"""Finding the objects of a batch that cannot be read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple, TypeVar

import torch

from quaterion_models.encoders.pretrained_collate import ToolError

OnError = Literal["raise", "skip"]
T = TypeVar("T")

NOT_OF_AN_OBJECT = (MemoryError, torch.OutOfMemoryError, ImportError, ToolError)
"""Errors that say nothing about an object: the machine is too small, a library or a file is missing or damaged."""


class Skipped(NamedTuple):
    """An object that was left out.

    Attributes:
        position: Where it stood among all objects.
        reason: Type, text and notes of the error that reading it raised.
    """

    position: int
    reason: str


def read_rows(
    read: Callable[[list[int]], T],
    rows: list[int],
    *,
    objects: Sequence[Any],
    positions: Sequence[int],
    on_error: OnError,
) -> tuple[T | None, list[int], list[Skipped]]:
    """Reads the objects of some rows at once, and one by one where that fails.

    An error is that of an object where it comes up when the object is read alone. Any other is raised as it is.

    Args:
        read: Reads the objects of rows.
        rows: Which.
        objects: All objects.
        positions: Where each object stood, for messages.
        on_error: Whether to raise the error of an object, or to leave the object out.

    Returns:
        What was read (None if nothing was left to read), the rows that were, and the objects that were left out.

    Raises:
        Exception: What `read` raised; a note says which object it was, if it was one.
    """
    try:
        return read(rows), rows, []
    except NOT_OF_AN_OBJECT:
        raise
    except Exception:
        skipped = []
        kept = []
        for row in rows:
            try:
                read([row])
                kept.append(row)
            except NOT_OF_AN_OBJECT:
                raise
            except Exception as error:
                if on_error == "raise":
                    kind = type(objects[row]).__name__
                    error.add_note(f"The object ({kind}) is the one at position {positions[row]} of those to encode")
                    raise error from None  # the batch's own error tells its place in a sorted batch
                told = (f"{type(error).__name__}: {error}", *getattr(error, "__notes__", ()))
                skipped.append(Skipped(positions[row], ". ".join(told)))
        if not skipped:  # no object is at fault, they do not go together
            raise
    return (read(kept) if kept else None), kept, skipped
