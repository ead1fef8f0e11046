"""JSON lines, and JSON files that hold a list, as tables."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from quaterion.dataset.files.table import MISSING, Fault, Row, Table
from quaterion.dataset.files.text_lines import file_lines

__all__ = ["json_table", "record_table"]


def json_table(path: Path) -> Table:
    """A file with a JSON object on each line, or with one list of objects, as a table.

    Args:
        path: The file.

    Raises:
        ValueError: The file is no text, is empty, or holds neither.
        OSError: It cannot be read.
    """
    lines = file_lines(path)
    first = next(line for line in lines if line.strip())
    if first.lstrip().startswith("["):
        try:
            content = json.loads("".join(lines))
        except json.JSONDecodeError as error:
            raise ValueError(f"{path.name}, line {error.lineno:,}: {_problem(error, cut=False)}.") from None
        except (ValueError, RecursionError) as error:
            raise ValueError(f"{path.name} {_unread(error)}.") from None
        return record_table(path.name, "item", [_numbered(place, one) for place, one in enumerate(content)])
    last = len(lines) - (not lines[-1].endswith("\n"))
    rows = [(place, _parsed(line, cut=place > last)) for place, line in enumerate(lines, start=1) if line.strip()]
    return record_table(path.name, "line", rows)


def record_table(name: str, unit: str, rows: Sequence[tuple[int, Any]], *, only_text: bool = True) -> Table:
    """A table of dictionaries, of which each may lack some fields.

    Args:
        name: Where they come from.
        unit: What a place is.
        rows: Place and dictionary of each row, or what is wrong with it.
        only_text: See `Table`.

    Raises:
        ValueError: There is no row, or none that is a dictionary.

    Example:
        >>> table = record_table("a list", "item", [(0, {"a": 1}), (1, {"a": 2, "b": 3})])
        >>> table.columns, next(table.rows(["a"]))
        (['a', 'b'], (0, [1]))
    """
    names: dict[Any, None] = {}
    for _, record in rows:
        if isinstance(record, dict):
            names.update(dict.fromkeys(record))
    if not names:
        raise ValueError(_no_record(name, unit, rows))
    columns = [str(one) for one in names]

    def values(wanted: Sequence[str]) -> Iterator[Row]:
        original = dict(zip(columns, names, strict=True))
        keys = [original[one] for one in wanted]
        for place, record in rows:
            yield place, record if isinstance(record, Fault) else [record.get(key, MISSING) for key in keys]

    return Table(name, unit, columns, values, only_text=only_text)


def _no_record(name: str, unit: str, rows: Sequence[tuple[int, Any]]) -> str:
    faults = [(place, record) for place, record in rows if isinstance(record, Fault)]
    if not faults:
        return f"{name} has no rows with fields; expected one for each sample."
    place, fault = faults[0]
    return f"{name}, {unit} {place:,}: {fault.problem}.{' No other row is one either.' if len(faults) > 1 else ''}"


def _parsed(line: str, *, cut: bool) -> Any:
    try:
        return _checked(json.loads(line))
    except json.JSONDecodeError as error:
        return Fault(None, _problem(error, cut=cut))
    except (ValueError, RecursionError) as error:
        return Fault(None, _unread(error))


def _unread(error: ValueError | RecursionError) -> str:
    """Of JSON that is well formed, and that Python does not read."""
    if isinstance(error, RecursionError):
        return "holds JSON that is nested too deeply; expected objects of plain fields"
    return "holds a number of thousands of digits; expected numbers of usual size, or texts in quotes"


def _numbered(place: int, record: Any) -> tuple[int, Any]:
    return place, _checked(record)


def _checked(record: Any) -> Any:
    if isinstance(record, dict):
        return record
    return Fault(None, f'{type(record).__name__} {record!r:.40} is no JSON object; expected one like {{"text": "..."}}')


def _problem(error: json.JSONDecodeError, *, cut: bool) -> str:
    advice = "the file seems to be cut off here" if cut else "expected an object on each line, or one list of objects"
    return f"this is no JSON ({error.msg}, column {error.colno:,}); {advice}"
