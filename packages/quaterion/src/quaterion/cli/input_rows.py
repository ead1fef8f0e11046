"""Texts that a command is given: as arguments, in a file, or on standard input as they come."""

import csv
import json
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Literal, NamedTuple

import typer

from quaterion.utils.counted import counted

__all__ = ["InputRow", "Rows", "StreamFormat", "file_rows", "given_rows", "in_chunks", "standard_input", "tell_skipped"]

StreamFormat = Literal["text", "csv", "tsv", "jsonl"]
READ_AT_A_TIME = 2**16
SHOWN_COLUMNS = 20


class InputRow(NamedTuple):
    """One text.

    Args:
        number: Number of its row, counted from 1, without a header.
        text: The text.
        fields: All fields of the row, the text among them.
    """

    number: int
    text: str
    fields: dict[str, Any]


@dataclass
class Rows:
    """Rows that are read one after the other.

    Args:
        rows: The rows.
        lines: Where they come bit by bit: the lines that are read; None where all are there.
        skipped: Rows that were left out, so far.
    """

    rows: Iterator[InputRow] = field(default_factory=lambda: iter(()))
    lines: "_Lines | None" = None
    skipped: int = 0

    @property
    def would_wait(self) -> bool:
        """Whether the next row has to be waited for."""
        return self.lines is not None and not self.lines.ready


def given_rows(texts: Iterable[str]) -> Rows:
    """Texts that were given as arguments.

    Args:
        texts: The texts.
    """
    return Rows(InputRow(number, text, {"text": text}) for number, text in enumerate(texts, start=1))


def file_rows(path: Path, column: str | None, *, skip_bad_rows: bool) -> Rows:
    """The rows of a file in CSV, TSV, JSON lines or Parquet.

    Args:
        path: The file.
        column: Column of the texts; None to find it by a common name.
        skip_bad_rows: Whether to leave out rows that cannot be read or have no text.

    Returns:
        The rows; a bad one raises a `ValueError` when it is reached.

    Raises:
        ValueError: The file is no such file, or has no such column.
        OSError: It cannot be read.
    """
    from quaterion.dataset.files.open_table import open_table
    from quaterion.dataset.files.table import MISSING, Fault

    table = open_table(path)
    text = _text_column(table.columns, column, path.name)

    def parsed() -> Iterator[tuple[int, dict[str, Any] | str]]:
        for place, values in table.rows(table.columns):
            if isinstance(values, Fault):
                yield place, f"field {values.field!r}: {values.problem}" if values.field else values.problem
            else:
                pairs = zip(table.columns, values, strict=True)
                yield place, {name: value for name, value in pairs if value is not MISSING}

    rows = Rows()
    rows.rows = _checked(rows, parsed(), text, f"{path.name}, {table.unit}", skip_bad_rows=skip_bad_rows)
    return rows


def standard_input(format: StreamFormat, column: str | None, *, skip_bad_rows: bool) -> Rows:  # noqa: A002
    """The rows of standard input, each as soon as it is there.

    Args:
        format: One text a line (empty lines are passed over), CSV or TSV with a header, or JSON lines.
        column: Column of the texts; None to find it by a common name.
        skip_bad_rows: Whether to leave out rows that cannot be read or have no text.

    Returns:
        The rows; a bad one raises a `ValueError` when it is reached.

    Raises:
        ValueError: Nothing is piped in.
    """
    if sys.stdin.isatty():
        raise ValueError("There is nothing to read: give texts as arguments, a file, or pipe texts to standard input.")
    lines = _Lines(sys.stdin.buffer)
    rows = Rows(lines=lines)
    name, unit = "standard input", "standard input, line"
    if format == "text":
        texts = ((place, line.rstrip("\r\n")) for place, line in enumerate(lines, start=1))
        parsed: Iterator[tuple[int, Any]] = ((place, {"text": text}) for place, text in texts if text.strip())
        rows.rows = _checked(rows, parsed, "text", unit, skip_bad_rows=skip_bad_rows)
    elif format == "jsonl":
        rows.rows = _checked(rows, _json_lines(lines), column, unit, skip_bad_rows=skip_bad_rows)
    else:
        reader = csv.reader(lines, delimiter="\t" if format == "tsv" else ",", strict=True)
        header = next(reader, None)
        if header is None:
            raise ValueError("Standard input is empty; expected a header and rows.")
        text = _text_column(header, column, name)
        rows.rows = _checked(rows, _delimited(reader, header), text, unit, skip_bad_rows=skip_bad_rows)
    return rows


def in_chunks(rows: Rows, size: int) -> Iterator[list[InputRow]]:
    """Puts rows together, those of standard input only as far as no other row has to be waited for.

    Args:
        rows: The rows.
        size: Rows in a chunk at the most.
    """
    chunk: list[InputRow] = []
    for row in rows.rows:
        chunk.append(row)
        if len(chunk) == size or rows.would_wait:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


def tell_skipped(count: int) -> None:
    """Says how many rows were left out, if any were.

    Args:
        count: How many.
    """
    if count:
        typer.echo(f"Left out {counted(count, 'bad row')}.", err=True)


class _Lines:
    """Lines of a stream in UTF-8, read as they come."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._lines: list[str] = []  # the next one last
        self._rest = b""
        self._first = True

    @property
    def ready(self) -> bool:
        return bool(self._lines)

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        while not self._lines:
            read = self._stream.read1(READ_AT_A_TIME)  # type: ignore[attr-defined]  # what is there, at least a byte
            if not read:
                last, self._rest = self._rest, b""
                if not last:
                    raise StopIteration
                self._take([last])
                break
            *whole, self._rest = (self._rest + read).split(b"\n")
            self._take([line + b"\n" for line in whole])
        return self._lines.pop()

    def _take(self, lines: list[bytes]) -> None:
        if lines and self._first:
            lines[0] = lines[0].removeprefix(b"\xef\xbb\xbf")
            self._first = False
        # Bytes that are not UTF-8 are told with the row they are in.
        self._lines = [line.decode("utf-8", "surrogateescape") for line in reversed(lines)]


def _checked(
    rows: Rows,
    parsed: Iterator[tuple[int, dict[str, Any] | str]],
    column: str | None,
    where: str,
    *,
    skip_bad_rows: bool,
) -> Iterator[InputRow]:
    """Rows that have a text; those that have none, or could not be parsed (a problem in place of fields), are bad."""
    for number, (place, fields) in enumerate(parsed, start=1):
        if isinstance(fields, dict) and column is None:  # JSON has no header
            column = _text_column(list(fields), None, f"{where} {place:,}")
        problem = fields if isinstance(fields, str) else _problem(fields, str(column))
        if problem is None and isinstance(fields, dict):
            yield InputRow(number, fields[str(column)], fields)
        elif skip_bad_rows:
            rows.skipped += 1
        else:
            raise ValueError(
                f"{where} {place:,}: {problem}. Mend the data, or leave such rows out with --skip-bad-rows."
            )


def _problem(fields: dict[str, Any], column: str) -> str | None:
    from quaterion.dataset.files.text_lines import byte_problem

    value = fields.get(column)
    if value is None or (isinstance(value, str) and not value.strip()):
        return f"field {column!r}: nothing is in it; expected a text"
    if not isinstance(value, str):
        return f"field {column!r}: {value!r:.40} is no text; expected one in quotes"
    problem = byte_problem(value)
    return None if problem is None else f"field {column!r}: {problem}"


def _json_lines(lines: Iterator[str]) -> Iterator[tuple[int, dict[str, Any] | str]]:
    for place, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            content = json.loads(line)
        except (ValueError, RecursionError) as error:
            yield place, f"this is no JSON ({error}); expected an object on each line"
        else:
            is_object = isinstance(content, dict)
            yield place, content if is_object else f"{line.strip():.40} is no JSON object; expected one on each line"


def _delimited(reader: Any, header: list[str]) -> Iterator[tuple[int, dict[str, Any] | str]]:
    while True:
        place = reader.line_num + 1
        try:
            values = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield place, f"{error}; put texts that hold the delimiter, a quote or a line end in double quotes"
            continue
        if not values:
            continue
        wrong = f"the row has {len(values)} fields and the header {len(header)}"
        yield place, dict(zip(header, values, strict=True)) if len(values) == len(header) else wrong


def _text_column(columns: list[str], column: str | None, name: str) -> str:
    from quaterion.dataset.files.columns import NAMES

    if column is not None:
        if column not in columns:
            raise ValueError(f"{name} has no column {column!r}. It has {_listed(columns)}.")
        return column
    named = [one for one in columns if one.strip().lower() in NAMES["text"]]
    if len(named) == 1 or len(columns) == 1:
        return (named or columns)[0]
    raise ValueError(f"Cannot tell which column of {name} holds the texts: {_listed(columns)}. Name it with --text.")


def _listed(columns: list[str]) -> str:
    more = len(columns) - SHOWN_COLUMNS
    return ", ".join(map(repr, columns[:SHOWN_COLUMNS])) + (f" and {more} more" if more > 0 else "")
