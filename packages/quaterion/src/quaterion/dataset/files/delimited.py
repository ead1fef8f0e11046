"""CSV and TSV files as tables."""

import csv
from collections.abc import Iterator, Sequence
from operator import itemgetter
from pathlib import Path

from quaterion.dataset.files.table import Fault, Row, Table
from quaterion.dataset.files.text_lines import file_lines
from quaterion.utils.counted import counted

__all__ = ["delimited_table"]

DELIMITERS = ",;\t|"
LOOKED_AT = 200


def delimited_table(path: Path, delimiter: str | None = None) -> Table:
    """A file of delimited values as a table whose places are lines.

    Fields that hold the delimiter, a line end or a quote stand in double quotes, quotes in them are doubled. In files
    delimited by tabs, quotes that do not come in pairs are part of the text.

    Args:
        path: The file.
        delimiter: One character; None to find out which of comma, semicolon, tab and bar it is.

    Raises:
        ValueError: The file is no text, is empty, or its first row cannot be read.
        OSError: It cannot be read.
    """
    lines = file_lines(path)
    if lines[0].lstrip().startswith(('{"', "[{")):
        raise ValueError(f'{path.name} holds JSON. Give it the suffix .jsonl, or pass format="jsonl".')
    delimiter = delimiter or _likely_delimiter(lines)
    place, header = next(_records(lines, delimiter))
    if isinstance(header, Fault):
        raise ValueError(  # noqa: TRY004 - a wrong value, of which the type tells
            f"{path.name}, line {place:,}: {header.problem}."
        )

    def table(columns: list[str], skip: int) -> Table:
        return Table(path.name, "line", columns, lambda wanted: _rows(lines, delimiter, columns, skip, wanted))

    numbered = [str(number) for number in range(1, len(header) + 1)]
    named = table(header, skip=1)
    return Table(named.name, named.unit, named.columns, named.rows, headerless=lambda: table(numbered, skip=0))


def _rows(lines: list[str], delimiter: str, columns: list[str], skip: int, wanted: Sequence[str]) -> Iterator[Row]:
    places = [columns.index(one) for one in wanted]
    pick = itemgetter(*places) if len(places) > 1 else lambda fields: (fields[places[0]],)
    width = len(columns)
    records = _records(lines, delimiter)
    for _ in range(skip):
        next(records)
    for place, fields in records:
        if len(fields) == width and not isinstance(fields, Fault):
            yield place, pick(fields)
        elif isinstance(fields, Fault):
            number = _field_to_blame(lines[place - 1], delimiter)
            yield place, Fault(columns[number] if number < width else None, fields.problem)
        elif len(fields) > width and not any(fields[width:]):  # delimiters at the end of a line
            yield place, pick(fields[:width])
        else:
            yield place, _wrong_width(fields, columns, cut=place == len(lines) and not lines[-1].endswith(("\n", "\r")))


def _records(lines: list[str], delimiter: str) -> Iterator[tuple[int, list[str] | Fault]]:
    """Rows with the line that each begins in; behind a row that cannot be read it goes on with the next line."""
    start = 0
    while start < len(lines):
        reader = csv.reader(map(lines.__getitem__, range(start, len(lines))), delimiter=delimiter, strict=True)
        begin = start
        try:
            for fields in reader:
                if fields:
                    yield begin + 1, fields
                begin = start + reader.line_num
            start = len(lines)
        except csv.Error as error:
            # Many programs write tabs between texts with single quotes in them and quote nothing.
            plain = lines[begin].rstrip("\r\n").split("\t") if delimiter == "\t" else []
            yield begin + 1, plain if len(plain) > 1 else Fault(None, _quote_problem(str(error)))
            start = begin + 1


def _quote_problem(error: str) -> str:
    if "field limit" in error:
        return (
            f"a field is longer than {csv.field_size_limit():,} characters, as if its opening quote were never closed; "
            "close it, or give texts of that length as JSON lines or Parquet"
        )
    if "end of data" in error:
        return 'a quote opens and is never closed; close it, or double it ("") if it is part of the text'
    return 'text follows a closing quote; double the quotes ("") that are part of a quoted text'


def _field_to_blame(line: str, delimiter: str) -> int:
    """Number of the field that makes a line unreadable.

    It is too long, or its quotes are wrong: text follows the closing one, or there is none.
    """
    lengths = map(len, line.split(delimiter))
    long = next((number for number, length in enumerate(lengths) if length > csv.field_size_limit()), None)
    if long is not None:
        return long
    number, start = 0, 0
    while start < len(line) and (line[start] != '"' or (end := _closing_quote(line, start)) > 0):
        end = line.find(delimiter, start) if line[start] != '"' else end + 1
        if end < 0 or line[end : end + 1] != delimiter:
            break
        number, start = number + 1, end + 1
    return number


def _closing_quote(line: str, start: int) -> int:
    end = line.find('"', start + 1)
    while end > 0 and line[end + 1 : end + 2] == '"':
        end = line.find('"', end + 2)
    return end


def _wrong_width(fields: list[str], columns: list[str], *, cut: bool) -> Fault:
    found = f"the row has {counted(len(fields), 'field')} and the first row {len(columns)}"
    if len(fields) > len(columns):
        return Fault(None, f"{found}; put texts that hold the delimiter in double quotes")
    advice = "the file seems to be cut off here" if cut else "give every row all its fields"
    return Fault(columns[len(fields)], f"{found}; {advice}")


def _likely_delimiter(lines: list[str]) -> str:
    """The delimiter by which most of the first rows have as many fields as the first one, and that is more than one."""
    best, best_score = ",", (0.0, 1)
    for delimiter in DELIMITERS:
        widths: list[int] = []
        try:
            widths.extend(len(fields) for fields in csv.reader(lines[:LOOKED_AT], delimiter=delimiter) if fields)
        except csv.Error:
            continue
        score = (sum(width == widths[0] for width in widths) / len(widths), widths[0]) if widths else (0.0, 1)
        if score[1] > 1 and score > best_score:
            best, best_score = delimiter, score
    return best
