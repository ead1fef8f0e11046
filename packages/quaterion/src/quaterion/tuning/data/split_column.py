"""A table whose rows say whether they are for training, validation or testing, as one table for each."""

import difflib
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

from quaterion.dataset.files.table import MISSING, Fault, Row, Table

__all__ = ["SPLIT_NAMES", "split_table"]

SPLIT_NAMES: dict[str, str] = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("validation", "valid", "val", "dev"), "validation"),
    "test": "test",
}
"""What rows may say, in lower case."""


def split_table(table: Table, column: str) -> dict[str, Table]:
    """Divides a table by a column. Rows whose split cannot be told are bad rows of the training data.

    Args:
        table: The table.
        column: Name of the column that says it; its number, from 1, in a file without a header.

    Returns:
        Tables without that column, for the splits that there are.

    Raises:
        ValueError: There is no such column, or no row is for training.

    Example:
        >>> from quaterion.dataset.files.open_table import open_table
        >>> rows = [{"text": "a", "split": "train"}, {"text": "b", "split": "dev"}]
        >>> tables = split_table(open_table(rows), "split")
        >>> list(tables["validation"].rows(["text"]))
        [(1, ['b'])]
    """
    if column not in table.columns and column.isdecimal() and table.headerless is not None:
        table = table.headerless()
    if table.columns.count(column) != 1:
        raise ValueError(_not_one(table, column))
    # Reading the training data then tells of rows that cannot be told.
    found = {split if isinstance(split, str) else "train" for split in _splits(table, column)}
    if "train" not in found:
        said = " or ".join(sorted(found)) or "nothing"
        raise ValueError(
            f"No row of {table.name} is for training: the column {column!r} says {said} in all of them. Mark some with "
            "'train'."
        )
    rest = [name for name in table.columns if name != column]
    return {
        name: Table(table.name, table.unit, rest, partial(_rows, table, column, name), only_text=table.only_text)
        for name in ("train", "validation", "test")
        if name in found
    }


def _splits(table: Table, column: str) -> Iterator[str | Fault]:
    return (_split_of(values, column) for _, values in table.rows([column]))


def _rows(table: Table, column: str, wanted_split: str, wanted: Sequence[str]) -> Iterator[Row]:
    for place, values in table.rows([*wanted, column]):
        split = _split_of(values if isinstance(values, Fault) else values[-1:], column)
        if isinstance(split, Fault):
            if wanted_split == "train":
                yield place, split
        elif split == wanted_split:
            yield place, values[:-1]


def _split_of(values: Sequence[Any] | Fault, column: str) -> str | Fault:
    if isinstance(values, Fault):
        return values
    value = values[0]
    known = SPLIT_NAMES.get(str(value).strip().lower())
    if known is not None:
        return known
    received = "nothing is in it" if value is MISSING or value is None or value == "" else f"{value!r:.60} is no split"
    return Fault(column, f"{received}; expected train, validation (or val, valid, dev) or test")


def _not_one(table: Table, column: str) -> str:
    if column in table.columns:
        return f"{table.name} has two columns of the name {column!r}. Rename one of them."
    near = difflib.get_close_matches(column, table.columns, n=1)
    advice = f"Did you mean {near[0]!r}?" if near else "Name the one that says train, validation or test."
    return f"{table.name} has no column {column!r} for split. It has {', '.join(map(repr, table.columns))}. {advice}"
