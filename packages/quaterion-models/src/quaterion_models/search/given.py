"""What callers pass to an index, checked and in one form."""

from __future__ import annotations

import json
import operator
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from quaterion_models.search.vector_index import Id, Payload

_ROWS_AT_A_TIME = 8192
_SHOWN = 5


def unit_vectors(vectors: ArrayLike, dimension: int) -> NDArray[np.float32]:
    """Scales vectors to length 1; vectors of zeros stay.

    Args:
        vectors: Numbers `[N, dimension]`.
        dimension: Numbers in a vector.

    Returns:
        float32 `[N, dimension]`, a new array.

    Raises:
        ValueError: If they are of another shape or type, or a number is not finite.

    Example:
        >>> unit_vectors([[3.0, 4.0], [0.0, 0.0]], 2)
        array([[0.6, 0.8],
               [0. , 0. ]], dtype=float32)
    """
    given = np.asarray(vectors)
    if given.ndim != 2 or given.shape[1] != dimension:
        raise ValueError(f"expected vectors [N, {dimension}], got {list(given.shape)}: one row for each object")
    if given.dtype.kind not in "fi":
        raise ValueError(f"expected vectors of floating point numbers or signed integers, got {given.dtype}")
    result = np.empty(given.shape, dtype=np.float32)
    for start in range(0, len(given), _ROWS_AT_A_TIME):
        rows = given[start : start + _ROWS_AT_A_TIME].astype(np.float64)
        finite = np.isfinite(rows).all(axis=1)
        if not finite.all():
            row = start + int(finite.argmin())
            raise ValueError(f"the vector in row {row} has a number that is not finite (NaN or infinite)")
        # By the largest number first, so that no square is too large or too small for a float.
        rows /= _or_one(np.abs(rows).max(axis=1, keepdims=True, initial=0))
        result[start : start + _ROWS_AT_A_TIME] = rows / _or_one(np.linalg.norm(rows, axis=1, keepdims=True))
    return result


def checked_ids(ids: Iterable[Any]) -> list[Id]:
    """Makes ids texts and Python integers.

    Args:
        ids: Texts or integers, numpy's among them.

    Returns:
        The ids.

    Raises:
        TypeError: If one is something else.
        ValueError: If an integer has more than 64 bits, or a text is no Unicode.

    Example:
        >>> checked_ids(np.array([1, 2]))
        [1, 2]
    """
    if isinstance(ids, str):
        raise TypeError(f"expected a list of ids, got the text {ids!r:.50}. Write [id]")
    return [_checked_id(one) for one in ids]


def new_ids(ids: Iterable[Any]) -> list[Id]:
    """Checks ids of objects that are to be added.

    Args:
        ids: Texts or integers.

    Returns:
        The ids.

    Raises:
        TypeError: If one is neither text nor an integer.
        ValueError: If one is twice among them.
    """
    checked = checked_ids(ids)
    if len(set(checked)) != len(checked):
        seen: set[Id] = set()
        twice = [one for one in checked if one in seen or seen.add(one)]  # type: ignore[func-returns-value]
        raise ValueError(f"{_listed(twice)} more than once among the ids. Give each object an id of its own")
    return checked


def refuse_held(held: Sequence[Id]) -> None:
    """Refuses ids that an index holds already.

    Args:
        held: Those of them that it holds.

    Raises:
        ValueError: If there are any.
    """
    if held:
        raise ValueError(f"the index holds {_listed(held)} already. Delete them first, or leave them out")


def object_lines(ids: Sequence[Id], payloads: Sequence[Payload | None] | None, rows: int) -> list[bytes]:
    """Writes ids and payloads as JSON, one line for each object.

    Args:
        ids: Checked ids.
        payloads: For each of them a JSON object or None, or None for all.
        rows: How many vectors there are.

    Returns:
        UTF-8 without line breaks.

    Raises:
        ValueError: If there are not as many ids, vectors and payloads, or a payload is no JSON.
        TypeError: If a payload is no dictionary.

    Example:
        >>> object_lines(["a"], [{"lang": "en"}], 1)
        [b'["a",{"lang":"en"}]']
    """
    if len(ids) != rows or (payloads is not None and len(payloads) != rows):
        counts = f"{len(ids)} ids, {rows} vectors" + (f" and {len(payloads)} payloads" if payloads is not None else "")
        raise ValueError(f"expected as many of each, got {counts}")
    return [_line(one, None if payloads is None else payloads[row]) for row, one in enumerate(ids)]


def json_copy(value: object, what: str) -> Any:
    """Copies a JSON object.

    Args:
        value: A dictionary.
        what: What it is, for messages.

    Returns:
        Its copy.

    Raises:
        TypeError: If it is no dictionary.
        ValueError: If it is no JSON, or would not be the same after reading it again.
    """
    return json.loads(_json(value, what))


def check_k(k: object) -> None:
    """Checks how many hits are wanted.

    Raises:
        ValueError: If it is no positive integer.
    """
    if not isinstance(k, int | np.integer) or isinstance(k, bool) or k < 1:
        raise ValueError(f"k must be an integer of 1 or more, got {k!r}")


def check_dimension(dimension: object) -> int:
    """Checks the numbers in a vector.

    Raises:
        ValueError: If it is no positive integer.
    """
    if not isinstance(dimension, int | np.integer) or isinstance(dimension, bool) or dimension < 1:
        raise ValueError(f"the dimension must be an integer of 1 or more, got {dimension!r}")
    return int(dimension)


def _line(one: Id, payload: Payload | None) -> bytes:
    text = _json({} if payload is None else payload, f"the payload of {one!r:.50}")
    return b"[%s,%s]" % (json.dumps(one, ensure_ascii=False).encode(), text)


def _json(value: object, what: str) -> bytes:
    if not isinstance(value, dict):
        raise TypeError(f"{what} must be a dictionary, got {type(value).__name__}")
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"{what} is no JSON: {error!s:.200}") from error
    if json.loads(text) != value:  # a tuple, or a key that is no text
        raise ValueError(f"{what} is no JSON: it would be read as {text.decode():.200}. Use lists, and texts as keys")
    return text


def _checked_id(one: Any) -> Id:
    if isinstance(one, str):
        try:
            one.encode()
        except UnicodeEncodeError as error:
            raise ValueError(f"the id {one!r:.50} is no Unicode text: {error.reason}") from error
        return str(one)
    if isinstance(one, bool) or not hasattr(one, "__index__"):
        raise TypeError(f"an id must be text or an integer, got {type(one).__name__} {one!r:.50}")
    number = operator.index(one)
    if not -(2**63) <= number < 2**63:
        raise ValueError(f"the id {number} has more than 64 bits. Write it as text")
    return number


def _or_one(lengths: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.where(lengths == 0, 1, lengths)


def _listed(ids: Sequence[Id]) -> str:
    shown = ", ".join(f"{one!r:.50}" for one in ids[:_SHOWN])
    return shown + (f" and {len(ids) - _SHOWN} more" if len(ids) > _SHOWN else "")
