"""Filters in the words of Qdrant."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from quaterion_models.extras import require
from quaterion_models.search.filters import AnyOf, Condition, Value

_LARGEST_EXACT = 2**53  # Qdrant compares ranges as floats of 64 bits, and values of texts, integers and truth exactly


def qdrant_filter(conditions: Sequence[Condition], under: str) -> Any:
    """Translates conditions.

    Args:
        conditions: The conditions.
        under: Field of a point's payload that holds the payload of the object.

    Returns:
        A `qdrant_client.models.Filter`, or None for no conditions.

    Raises:
        ValueError: If Qdrant cannot name a field.
    """
    if not conditions:
        return None
    models = require("qdrant_client.models", extra="qdrant")
    return models.Filter(must=[_translated(condition, under, models) for condition in conditions])


def _translated(condition: Condition, under: str, models: Any) -> Any:
    path = f"{under}.{_quoted(condition.field)}"
    if not isinstance(condition, AnyOf):
        return models.FieldCondition(key=path, range=models.Range(**condition.bounds))
    texts = [value for value in condition.values if isinstance(value, str)]
    others = [_equals(value, path, models) for value in condition.values if not isinstance(value, str)]
    any_text = [models.FieldCondition(key=path, match=models.MatchAny(any=texts))] if texts else []
    return models.Filter(should=[*any_text, *others])


def _equals(value: Value, path: str, models: Any) -> Any:
    if isinstance(value, bool) or (isinstance(value, int) and abs(value) > _LARGEST_EXACT):
        return models.FieldCondition(key=path, match=models.MatchValue(value=value))
    # To Qdrant the values 1 and 1.0 are different, as ends of a range they are not.
    return models.FieldCondition(key=path, range=models.Range(gte=value, lte=value))


def _quoted(field: str) -> str:
    if re.fullmatch(r"[A-Za-z0-9_-]+", field):
        return field
    if '"' in field or not field:
        raise ValueError(f"Qdrant cannot filter by a field of the name {field!r:.100}: rename it")
    return f'"{field}"'
