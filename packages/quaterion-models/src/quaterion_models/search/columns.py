"""The fields of payloads as columns: which objects a condition accepts, without reading every payload again."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from quaterion_models.search.filters import Condition, Value, typed, unknown_field


class _Column(NamedTuple):
    """One field: its different values, and which object has which; an object with a list stands there repeatedly."""

    read: int  # objects that were looked at
    codes_of: dict[tuple[str, Value], int]
    rows: NDArray[np.int64]
    codes: NDArray[np.int64]


class Columns:
    """Columns of the payloads, each made when a filter first asks for its field.

    Several threads may ask at once: a column is never changed, another takes its place.

    Args:
        payloads: Gives the payloads from a row on.
    """

    def __init__(self, payloads: Callable[[int], Iterable[dict[str, Any]]]) -> None:
        self._payloads = payloads
        self._columns: dict[str, _Column] = {}
        self._fields: set[str] = set()

    def accepted(self, condition: Condition, rows: int) -> NDArray[np.bool_]:
        """Tells which objects a condition accepts.

        Args:
            condition: The condition.
            rows: How many objects there are.

        Returns:
            `[rows]`.

        Raises:
            ValueError: If no object has the field.
        """
        column = self._column(condition.field, rows)
        if condition.field not in self._fields:
            raise unknown_field(condition.field, self._fields)
        values = [value for _, value in column.codes_of]
        accepted = np.array(condition.accepts(values), dtype=bool)
        result = np.zeros(rows, dtype=bool)
        result[column.rows[accepted[column.codes]]] = True
        return result

    def _column(self, field: str, rows: int) -> _Column:
        old = self._columns.get(field, _Column(0, {}, np.empty(0, np.int64), np.empty(0, np.int64)))
        if old.read == rows:
            return old
        codes_of, fields = dict(old.codes_of), set(self._fields)
        new_rows: list[int] = []
        new_codes: list[int] = []
        for row, payload in enumerate(self._payloads(old.read), start=old.read):
            fields.update(payload)
            held = payload.get(field)
            for value in held if isinstance(held, list) else [held]:
                if (key := typed(value)) is not None:
                    new_rows.append(row)
                    new_codes.append(codes_of.setdefault(key, len(codes_of)))
        column = _Column(
            rows,
            codes_of,
            np.concatenate([old.rows, np.array(new_rows, dtype=np.int64)]),
            np.concatenate([old.codes, np.array(new_codes, dtype=np.int64)]),
        )
        self._columns[field] = column
        self._fields |= fields
        return column
