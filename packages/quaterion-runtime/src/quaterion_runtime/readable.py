"""Leaving out objects that cannot be read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple, TypeVar, get_args

OnError = Literal["raise", "skip"]
T = TypeVar("T")


class Skipped(NamedTuple):
    """An object that was left out.

    Attributes:
        position: Where it stood among all objects.
        reason: Type and text of the error that reading it raised.
    """

    position: int
    reason: str


class Reader:
    """Reads objects, several at once, and one by one where that fails.

    Args:
        positions: Where each object stands among the caller's.
        on_error: `"raise"` passes the error on; `"skip"` leaves out the objects that cannot be read alone.

    Attributes:
        skipped: The objects that were left out so far.
    """

    def __init__(self, positions: Sequence[int], on_error: OnError) -> None:
        self.skipped: list[Skipped] = []
        self._positions, self._on_error = positions, on_error

    def read(self, read: Callable[[list[int]], T], rows: list[int]) -> tuple[T | None, list[int]]:
        """Reads the objects of some rows.

        Args:
            read: Reads the objects of rows; raises `TypeError` or `ValueError` for one that it cannot read.
            rows: Which.

        Returns:
            What was read, None if nothing was left to read; and the rows that were.

        Raises:
            TypeError: As `read` raised it.
            ValueError: As `read` raised it.
        """
        try:
            return read(rows), rows
        except (TypeError, ValueError):
            if self._on_error == "raise":
                raise
            left_out = {row: error for row in rows if (error := _error_of(read, row)) is not None}
        self.skipped += [
            Skipped(self._positions[row], f"{type(error).__name__}: {error}") for row, error in left_out.items()
        ]
        kept = [row for row in rows if row not in left_out]
        return (read(kept) if kept else None), kept  # which fails again where no object is at fault: raised, then


def check_on_error(on_error: str) -> None:
    """Checks what is to be done with objects that cannot be read.

    Raises:
        ValueError: If it is neither `"raise"` nor `"skip"`.
    """
    if on_error not in get_args(OnError):
        raise ValueError(f'on_error must be "raise" or "skip", got {on_error!r}')


def _error_of(read: Callable[[list[int]], object], row: int) -> Exception | None:
    try:
        read([row])
    except (TypeError, ValueError) as error:
        return error
    return None
