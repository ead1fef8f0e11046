"""Rows that a command writes: for people on a terminal, else as CSV or JSON lines, each as soon as it is there."""

import csv
import json
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

from quaterion.cli.output_file import check_writable

__all__ = ["RowWriter", "check_output", "open_output"]

SUFFIXES = {".csv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl"}


class RowWriter:
    """Writes rows.

    Args:
        file: Where to.
        form: `"csv"`, `"jsonl"` or `"text"`.
    """

    def __init__(self, file: TextIO, form: str) -> None:
        self._file, self.form = file, form
        self._csv: Any = None
        self._columns: list[str] = []

    def write(self, rows: Iterable[tuple[dict[str, Any], str]]) -> None:
        """Writes rows and sends them on.

        Args:
            rows: The fields of each, in CSV those of the first of all, and a line that shows it to people.

        Raises:
            ValueError: A row has a column that the first one has not.
        """
        for row, shown in rows:
            if self.form == "text":
                self._file.write(shown + "\n")
            elif self.form == "jsonl":
                self._file.write(json.dumps(row, ensure_ascii=False, default=str) + "\n")
            else:
                self._write_csv(row)
        self._file.flush()

    def _write_csv(self, row: dict[str, Any]) -> None:
        if self._csv is None:
            self._columns = list(row)
            self._csv = csv.writer(self._file, lineterminator="\n")
            self._csv.writerow(self._columns)
        further = [name for name in row if name not in self._columns]
        if further:
            raise ValueError(
                f"A row has the field {further[0]!r}, which the first row lacks, and CSV needs the same columns in "
                "each. Write JSON lines: --json, or a file whose name ends in .jsonl."
            )
        self._csv.writerow([row.get(name) for name in self._columns])


def check_output(out: Path | None) -> None:
    """Finds out before the work begins whether a file can be written.

    Args:
        out: The file; None for standard output.

    Raises:
        ValueError: Its name does not tell the format.
        OSError: It cannot be written.
    """
    if out is not None:
        if out.suffix.lower() not in SUFFIXES:
            raise ValueError(f"{out.name} has the suffix {out.suffix!r}; expected .csv or .jsonl.")
        check_writable(out)


@contextmanager
def open_output(out: Path | None, *, json_lines: bool) -> Iterator[RowWriter]:
    """Opens what rows are written to.

    Args:
        out: A file, whose suffix tells the format; None for standard output.
        json_lines: Whether to write JSON lines to standard output, else text for people on a terminal and CSV
            elsewhere.
    """
    if out is not None:
        with out.open("w", newline="", encoding="utf-8") as file:
            yield RowWriter(file, "jsonl" if json_lines else SUFFIXES[out.suffix.lower()])
        return
    form = "jsonl" if json_lines else "text" if sys.stdout.isatty() else "csv"
    yield RowWriter(sys.stdout, form)
