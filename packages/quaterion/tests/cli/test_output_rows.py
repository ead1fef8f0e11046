"""Rows as CSV, JSON lines and text."""

import csv
import io
import json
import sys
from pathlib import Path

import pytest

from quaterion.cli.output_rows import RowWriter, check_output, open_output

ROWS = [({"text": 'a, "b"\nc', "label": None}, "first"), ({"text": "é", "label": "x"}, "second")]


def test_csv_has_a_header_and_empty_fields_for_none() -> None:
    file = io.StringIO()
    RowWriter(file, "csv").write(ROWS)
    assert list(csv.DictReader(io.StringIO(file.getvalue()))) == [
        {"text": 'a, "b"\nc', "label": ""},
        {"text": "é", "label": "x"},
    ]


def test_json_lines_have_null_for_none() -> None:
    file = io.StringIO()
    RowWriter(file, "jsonl").write(ROWS)
    assert [json.loads(line) for line in file.getvalue().splitlines()] == [row for row, _ in ROWS]


def test_text_has_what_is_for_people() -> None:
    file = io.StringIO()
    RowWriter(file, "text").write(ROWS)
    assert file.getvalue() == "first\nsecond\n"


def test_csv_needs_the_columns_of_the_first_row() -> None:
    writer = RowWriter(io.StringIO(), "csv")
    writer.write([({"a": 1, "b": 2}, ""), ({"a": 1}, "")])
    with pytest.raises(ValueError, match="has the field 'c', which the first row lacks, .* --json"):
        writer.write([({"a": 1, "c": 2}, "")])


def test_the_suffix_tells_the_format_and_standard_output_its_kind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    forms = {}
    for name in ("out.csv", "out.jsonl", "out.NDJSON"):
        with open_output(tmp_path / name, json_lines=False) as writer:
            forms[name] = writer.form
    assert forms == {"out.csv": "csv", "out.jsonl": "jsonl", "out.NDJSON": "jsonl"}
    for terminal, form in ((True, "text"), (False, "csv")):
        monkeypatch.setattr(sys.stdout, "isatty", lambda terminal=terminal: terminal)
        with open_output(None, json_lines=False) as writer:
            assert writer.form == form
        with open_output(None, json_lines=True) as writer:
            assert writer.form == "jsonl"


def test_a_file_is_checked_and_not_made(tmp_path: Path) -> None:
    check_output(None)
    check_output(tmp_path / "new" / "out.csv")
    assert list((tmp_path / "new").iterdir()) == []
    with pytest.raises(ValueError, match=r"out.xlsx has the suffix '.xlsx'; expected .csv or .jsonl"):
        check_output(tmp_path / "out.xlsx")
