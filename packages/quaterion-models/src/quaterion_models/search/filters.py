"""Filters: which objects of an index are searched, by what their payloads hold."""

from __future__ import annotations

import math
import operator
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

Value: TypeAlias = str | bool | int | float

_BOUNDS = {"gt": operator.gt, "gte": operator.ge, "lt": operator.lt, "lte": operator.le}


def typed(value: object) -> tuple[str, Value] | None:
    """Tells what a value is equal to: texts, truth values and numbers are never equal to one another.

    Args:
        value: Any JSON.

    Returns:
        Something that equal values have in common, or None for what nothing is equal to: null, a list, an object.

    Example:
        >>> typed(1) == typed(1.0), typed(1) == typed(True), typed(None)
        (True, False, None)
    """
    if isinstance(value, bool):
        return "truth", value
    if isinstance(value, int | float):
        return "number", value
    return ("text", value) if isinstance(value, str) else None


@dataclass(frozen=True)
class AnyOf:
    """A field that has one of some values.

    Attributes:
        field: Its name.
        values: The values.
    """

    field: str
    values: tuple[Value, ...]

    def accepts(self, values: Iterable[Value]) -> list[bool]:
        """Tells for each value whether it is among them."""
        wanted = {typed(value) for value in self.values}
        return [typed(value) in wanted for value in values]


@dataclass(frozen=True)
class Within:
    """A field that has a number in a range.

    Attributes:
        field: Its name.
        bounds: `"gt"`, `"gte"`, `"lt"` or `"lte"` to the number to compare with.
    """

    field: str
    bounds: Mapping[str, float]

    def accepts(self, values: Iterable[Value]) -> list[bool]:
        """Tells for each value whether it is a number within all bounds."""
        bounds = [(_BOUNDS[name], bound) for name, bound in self.bounds.items()]
        return [
            not isinstance(value, str | bool) and all(compare(value, bound) for compare, bound in bounds)
            for value in values
        ]


Condition: TypeAlias = AnyOf | Within


def parse_filter(given: Mapping[str, Any] | None) -> list[Condition]:
    """Reads a filter.

    Each field of it has to hold: a value (`{"lang": "en"}`), one of some (`{"tag": ["a", "b"]}`), or a number in a
    range (`{"year": {"gte": 2000, "lt": 2010}}`). A field of an object may be a list: it holds where one element does.

    Args:
        given: The filter, or None.

    Returns:
        Its conditions; an object is searched where all of them hold.

    Raises:
        TypeError: If it is no dictionary with texts as keys.
        ValueError: If a condition is none of these.

    Example:
        >>> parse_filter({"lang": "en", "year": {"gte": 2000}})
        [AnyOf(field='lang', values=('en',)), Within(field='year', bounds={'gte': 2000})]
    """
    if given is None:
        return []
    if not isinstance(given, Mapping) or not all(isinstance(field, str) for field in given):
        raise TypeError(f"a filter must be a dictionary of field names to conditions, got {given!r:.200}")
    return [_condition(field, wanted) for field, wanted in given.items()]


def unknown_field(field: str, known: Collection[str]) -> ValueError:
    """Makes the error for a field that no object has.

    Args:
        field: Its name.
        known: Names of fields that there are.

    Returns:
        The error.
    """
    there = f"there are {', '.join(map(repr, sorted(known)))}" if known else "no object has any"
    return ValueError(f"the filter asks for the field {field!r:.100}, which no object has; {there:.2000}")


def _condition(field: str, wanted: Any) -> Condition:
    if isinstance(wanted, Mapping):
        if wanted and all(name in _BOUNDS and _is_number(bound) for name, bound in wanted.items()):
            return Within(field, dict(wanted))
        expected = 'a range such as {"gte": 2000, "lt": 2010}, of the bounds gt, gte, lt and lte and finite numbers'
    else:
        values = tuple(wanted) if isinstance(wanted, list | tuple | set | frozenset) else (wanted,)
        if values and all(isinstance(value, str | bool) or _is_number(value) for value in values):
            return AnyOf(field, values)
        expected = "a text, a number, true or false, a list of some of these that is not empty, or a range"
    raise ValueError(f"the filter for {field!r:.100} is {wanted!r:.200}, expected {expected}")


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
