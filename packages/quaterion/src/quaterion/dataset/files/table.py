"""Rows of named fields, whatever they are read from."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

__all__ = ["MISSING", "Fault", "Row", "Table", "column_table"]

MISSING: Final = object()
"""The value of a field that a row does not have at all."""


class Fault(NamedTuple):
    """What makes a row unreadable.

    Args:
        field: The column to blame, None where it is none.
        problem: What is wrong, what was expected, what to do.
    """

    field: str | None
    problem: str


Row = tuple[int, Sequence[Any] | Fault]
"""The place of a row, and its values or what is wrong with it."""


@dataclass(frozen=True)
class Table:
    """Rows of named fields.

    Args:
        name: Where they come from, for messages: a file's name, or `"a list"`.
        unit: What a place is: `"line"`, `"row"` or `"item"`.
        columns: Names of the fields, in order.
        rows: From names of columns to rows with their values.
        headerless: The same table with its first row taken as data and columns that are called `"1"`, `"2"` and so on;
            None where names are not in a first row.
        only_text: Numbers in it are numbers, and no objects to compare.
    """

    name: str
    unit: str
    columns: list[str]
    rows: Callable[[Sequence[str]], Iterator[Row]]
    headerless: Callable[[], "Table"] | None = None
    only_text: bool = False


def column_table(
    name: str, names: Sequence[Any], values: Callable[[Any], list[Any]], *, first: int = 0, only_text: bool = False
) -> Table:
    """A table of what comes in columns.

    Args:
        name: Where it comes from.
        names: Names of the columns, of any type.
        values: From a column's name to its values.
        first: Number of the first row.
        only_text: See `Table`.

    Example:
        >>> table = column_table("a frame", ["a", "b"], {"a": [1, 2], "b": [3, 4]}.get)
        >>> list(table.rows(["b", "a"]))
        [(0, (3, 1)), (1, (4, 2))]
    """
    original = {str(one): one for one in names}

    def rows(wanted: Sequence[str]) -> Iterator[Row]:
        yield from enumerate(zip(*(values(original[one]) for one in wanted), strict=True), start=first)

    return Table(name, "row", [str(one) for one in names], rows, only_text=only_text)
