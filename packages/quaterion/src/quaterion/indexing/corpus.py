"""The objects of a data file, each with an id and what is kept with it."""

import json
import math
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from hashlib import blake2b
from typing import Any, NamedTuple

from quaterion.dataset.files.columns import NAMES
from quaterion.dataset.files.open_table import open_table
from quaterion.dataset.files.table import MISSING, Fault, Table
from quaterion.dataset.files.text_lines import byte_problem
from quaterion_models.content_key import content_key
from quaterion_models.search import Id

__all__ = ["Columns", "Corpus", "Item", "read_corpus"]

_TEXT_NAMES = NAMES["text"] | {"document", "passage", "body", "description"}


@dataclass(frozen=True)
class Columns:
    """Which columns of a table are what.

    Args:
        text: Column of the objects.
        id: Column of their ids; None for a digest of what is in the row.
        fields: Columns that are kept with each object.
        numbers: Those of them whose texts are numbers.
    """

    text: str
    id: str | None
    fields: tuple[str, ...]
    numbers: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """The same as a JSON object, to keep with an index."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}


class Item(NamedTuple):
    """One object.

    Args:
        id: Its id.
        obj: What the model encodes.
        payload: What is kept with it: the object itself where it is a text, else a digest of it where the id does not
            tell what it is, and the fields.
    """

    id: Id
    obj: Any
    payload: dict[str, Any]


class _BadRowError(Exception):
    pass


@dataclass(frozen=True)
class Corpus:
    """The objects of a table that has been looked through once.

    Args:
        table: The table.
        columns: Which of its columns are what.
        places: Place of the first row of each id; the objects are these rows.
        repeated: How many rows say what an earlier one says.
        empty: How many rows have nothing in the column of objects.
        bad: How many rows cannot be read.
    """

    table: Table
    columns: Columns
    places: dict[Id, int]
    repeated: int
    empty: int
    bad: int

    def __len__(self) -> int:
        return len(self.places)

    def digest(self) -> str:
        """A digest of the ids of all objects."""
        hasher = blake2b(digest_size=16)
        for one in self.places:
            hasher.update(f"{one!r}\n".encode())
        return hasher.hexdigest()

    def __iter__(self) -> Iterator[Item]:
        for place, values in _rows(self.table, self.columns):
            try:
                item = _item(self.table, self.columns, values)
            except _BadRowError:
                continue
            if item is not None and self.places[item.id] == place:
                yield item


def read_corpus(
    source: Any,
    *,
    text: str | None = None,
    id: str | None = None,  # noqa: A002 - what it is called everywhere
    fields: Sequence[str] | None = None,
    numbers: Sequence[str] = (),
    skip_bad_rows: bool = False,
) -> Corpus:
    """Looks through all rows of a file, so that what is wrong with one is told before anything is encoded.

    Args:
        source: A file or rows in memory, as for `quaterion.dataset.files.read_samples`.
        text: Column of the objects; None to find it by common names, or where there is one column only.
        id: Column of ids, which are texts or integers; None for a digest of the row's object and fields, so that a row
            has the same id wherever it stands.
        fields: Columns to keep with each object; None for all others.
        numbers: Columns in which texts are numbers, so that filters can ask for ranges.
        skip_bad_rows: Leave out rows that cannot be read, instead of stopping.

    Returns:
        The corpus, which reads the objects each time that it is iterated.

    Raises:
        ValueError: If a column is missing or cannot be told, a row is bad, an id stands for two different rows, or
            nothing is left.
        OSError: If the file cannot be read.

    Example:
        >>> corpus = read_corpus([{"text": "a cat", "id": 7}, {"text": "a dog", "id": 8}], id="id")
        >>> list(corpus)[0]
        Item(id=7, obj='a cat', payload={'text': 'a cat'})
        >>> len(corpus)
        2
    """
    table = open_table(source)
    columns = _chosen(table, text, id, fields, numbers)
    places: dict[Id, int] = {}
    contents: dict[Id, bytes] = {}  # needed only where ids do not tell the content
    repeated = empty = bad = 0
    for place, values in _rows(table, columns):
        try:
            item = _item(table, columns, values)
        except _BadRowError as error:
            if not skip_bad_rows:
                raise ValueError(
                    f"{table.name}, {table.unit} {place:,}: {error}. Mend the data, or leave such rows out with "
                    "skip_bad_rows=True (--skip-bad-rows)."
                ) from None
            bad += 1
            continue
        if item is None:
            empty += 1
            continue
        first = places.setdefault(item.id, place)
        repeated += first != place
        if columns.id is not None:
            content = _digest(item.obj, item.payload)
            if contents.setdefault(item.id, content) != content:
                raise ValueError(
                    f"{table.name} has the id {item.id!r:.60} in {table.unit} {first:,} and, with other content, in "
                    f"{table.unit} {place:,}. Give each object an id of its own."
                )
    if not places:
        raise ValueError(f"{table.name} has no object in the column {columns.text!r}; expected one in each row.")
    return Corpus(table, columns, places, repeated, empty, bad)


def _rows(table: Table, columns: Columns) -> Iterator[tuple[int, Sequence[Any] | Fault]]:
    wanted = [columns.text, *([] if columns.id is None else [columns.id]), *columns.fields]
    return table.rows(wanted)


def _item(table: Table, columns: Columns, values: Sequence[Any] | Fault) -> Item | None:
    """One row; None where it has no object."""
    if isinstance(values, Fault):
        raise _BadRowError(values.problem if values.field is None else f"field {values.field!r}: {values.problem}")
    obj, *rest = values
    if obj is MISSING or obj is None or (isinstance(obj, str) and not obj.strip()):
        return None
    if table.only_text and isinstance(obj, int | float):
        raise _BadRowError(f"field {columns.text!r}: {obj!r} is a number; expected a text in quotes")
    given = None if columns.id is None else _checked_id(columns.id, rest.pop(0))
    payload = {}
    if isinstance(obj, str):
        payload[columns.text] = _plain(columns.text, obj)
    elif given is not None:
        payload[columns.text] = content_key(obj).hex()  # or nobody would notice that it has changed
    for name, value in zip(columns.fields, rest, strict=True):
        if value is not MISSING:
            payload[name] = _number(name, value) if name in columns.numbers else _plain(name, value)
    return Item(_digest(obj, payload).hex() if given is None else given, obj, payload)


def _digest(obj: Any, payload: dict[str, Any]) -> bytes:
    text = json.dumps(payload, ensure_ascii=False, sort_keys=True).encode()
    own = b"" if isinstance(obj, str) else content_key(obj)  # a text is in the payload
    return blake2b(own + text, digest_size=16).digest()


def _checked_id(column: str, value: Any) -> Id:
    if isinstance(value, str) and value.strip():
        return str(_plain(column, value))
    if isinstance(value, int) and not isinstance(value, bool) and -(2**63) <= value < 2**63:
        return value
    shown = "missing" if value is MISSING else f"{value!r:.60}"
    raise _BadRowError(f"field {column!r}: the id is {shown}; expected a text or an integer of 64 bits")


def _number(column: str, value: Any) -> int | float | None:
    if isinstance(value, str):
        if not value.strip():
            return None
        with suppress(ValueError):
            value = int(value) if value.strip().lstrip("+-").isdecimal() else float(value)
    if value is None or (isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)):
        return value
    raise _BadRowError(f"field {column!r}: {value!r:.60} is no number")


def _plain(column: str, value: Any) -> Any:
    """A value as JSON knows it: dates and the like as texts, what is not a number as null."""
    if isinstance(value, str):
        if not value.isascii() and (problem := byte_problem(value)):
            raise _BadRowError(f"field {column!r}: {problem}")
        return value
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, list | tuple):
        return [_plain(column, one) for one in value]
    if isinstance(value, dict):
        return {str(name): _plain(column, one) for name, one in value.items()}
    return str(value)


def _chosen(
    table: Table,
    text: str | None,
    id: str | None,  # noqa: A002
    fields: Sequence[str] | None,
    numbers: Sequence[str],
) -> Columns:
    there = ", ".join(f"{name!r:.60}" for name in table.columns[:20])
    for name in [text, id, *(fields or []), *numbers]:
        if name is not None and name not in table.columns:
            raise ValueError(f"{table.name} has no column {name!r}. It has {there}.")
        if name is not None and table.columns.count(name) > 1:
            raise ValueError(f"{table.name} has two columns of the name {name!r}. Rename one of them.")
    if text is None:
        left = [name for name in table.columns if name != id]
        likely = [name for name in left if name.strip().lower() in _TEXT_NAMES] if len(left) > 1 else left
        if len(likely) != 1:
            raise ValueError(f"Cannot tell which column of {table.name} holds the objects; it has {there}. Name it.")
        text = likely[0]
    if text == id:
        raise ValueError(f"The column {text!r} of {table.name} is given for the objects and for the ids.")
    others = dict.fromkeys(table.columns if fields is None else fields)
    kept = tuple(name for name in others if name not in (text, id))
    wrong = [name for name in numbers if name not in kept]
    if wrong:
        raise ValueError(f"{wrong[0]!r} shall be a number and is not kept: name it among the fields as well.")
    return Columns(text, id, kept, tuple(dict.fromkeys(numbers)))
