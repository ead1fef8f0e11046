"""Rows from files and from a stream that comes bit by bit."""

import csv
import io
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from quaterion.cli.input_rows import InputRow, file_rows, given_rows, in_chunks, standard_input


@pytest.fixture
def pipe(monkeypatch: pytest.MonkeyPatch) -> Callable[[bytes], None]:
    """Puts bytes on standard input."""

    def put(content: bytes) -> None:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BufferedReader(io.BytesIO(content))))  # type: ignore[arg-type]

    return put


def test_given_texts_are_numbered_from_1() -> None:
    assert list(given_rows(["a", "b"]).rows) == [InputRow(1, "a", {"text": "a"}), InputRow(2, "b", {"text": "b"})]


def test_a_file_keeps_all_columns(tmp_path: Path) -> None:
    file = tmp_path / "data.csv"
    with file.open("w", newline="") as stream:
        csv.writer(stream).writerows([["id", "query"], ["7", "two\nlines"], ["8", 'comma, quote "']])
    expected = [
        InputRow(1, "two\nlines", {"id": "7", "query": "two\nlines"}),
        InputRow(2, 'comma, quote "', {"id": "8", "query": 'comma, quote "'}),
    ]
    assert list(file_rows(file, None, skip_bad_rows=False).rows) == expected
    assert list(file_rows(file, "query", skip_bad_rows=False).rows) == expected


def test_json_lines_keep_types_and_lack_what_they_lack(tmp_path: Path) -> None:
    file = tmp_path / "data.jsonl"
    file.write_text('{"text": "a", "n": 1}\n{"text": "b", "more": [2]}\n')
    rows = list(file_rows(file, None, skip_bad_rows=False).rows)
    assert [row.fields for row in rows] == [{"text": "a", "n": 1}, {"text": "b", "more": [2]}]


def test_bad_rows_of_a_file_are_named_or_counted(tmp_path: Path) -> None:
    file = tmp_path / "data.csv"
    file.write_text("id,text\n1,good\n2,\n3,fine\n4,too,many\n")
    with pytest.raises(ValueError, match=r"data.csv, line 3: field 'text': nothing is in it.* --skip-bad-rows"):
        list(file_rows(file, None, skip_bad_rows=False).rows)
    rows = file_rows(file, None, skip_bad_rows=True)
    assert [(row.number, row.text) for row in rows.rows] == [(1, "good"), (3, "fine")]
    assert rows.skipped == 2


def test_a_column_must_be_there_or_be_found(tmp_path: Path) -> None:
    file = tmp_path / "data.csv"
    file.write_text("a,b\n1,2\n")
    with pytest.raises(ValueError, match=r"data.csv has no column 'c'. It has 'a', 'b'"):
        file_rows(file, "c", skip_bad_rows=False)
    with pytest.raises(ValueError, match=r"Cannot tell which column of data.csv holds the texts: 'a', 'b'. .* --text"):
        file_rows(file, None, skip_bad_rows=False)
    file.write_text("anything\ntext\n")
    assert [row.text for row in file_rows(file, None, skip_bad_rows=False).rows] == ["text"]


def test_lines_of_text_may_have_any_end_and_a_mark_and_empty_ones_are_passed_over(pipe: Callable[..., None]) -> None:
    pipe(b"\xef\xbb\xbfone\r\n\n  \ntwo \xe2\x82\xac\nthree")
    rows = list(standard_input("text", None, skip_bad_rows=False).rows)
    assert [(row.number, row.text) for row in rows] == [(1, "one"), (2, "two €"), (3, "three")]


@pytest.mark.parametrize(("form", "delimiter"), [("csv", ","), ("tsv", "\t")])
def test_delimited_input_has_a_header_and_texts_of_several_lines(
    pipe: Callable[..., None], form: Any, delimiter: str
) -> None:
    file = io.StringIO()
    written = [["id", "text"], ["1", "two\nlines, and more"], ["2", f"a{delimiter}b"]]
    csv.writer(file, delimiter=delimiter).writerows(written)
    pipe(file.getvalue().encode())
    rows = list(standard_input(form, "text", skip_bad_rows=False).rows)
    assert [list(row.fields.values()) for row in rows] == written[1:]


@pytest.mark.parametrize(
    ("form", "content", "message", "left"),
    [
        ("text", b"good\nbad \xff\ngood", r"standard input, line 2: field 'text': the byte 0xFF is not UTF-8", 2),
        ("csv", b"id,text\n1,a\n2\n3,c\n", r"line 3: the row has 1 fields and the header 2", 2),
        ("csv", b'id,text\n1,a\n2,"x"y\n3,c\n', r"line 3: .* in double quotes", 2),
        ("csv", b"id,text\n1,a\n2, \n", r"line 3: field 'text': nothing is in it", 1),
        ("jsonl", b'{"text": "a"}\n{"text": 3}\n', r"line 2: field 'text': 3 is no text", 1),
        ("jsonl", b'{"text": "a"}\n{"text": \n\n', r"line 2: this is no JSON", 1),
        ("jsonl", b'{"text": "a"}\n["b"]\n', r"""line 2: \["b"\] is no JSON object""", 1),
        ("jsonl", b'{"text": "a"}\n{"other": "b"}\n', r"line 2: field 'text': nothing is in it", 1),
    ],
)
def test_bad_rows_of_a_stream_are_named_or_counted(
    pipe: Callable[..., None], form: Any, content: bytes, message: str, left: int
) -> None:
    pipe(content)
    with pytest.raises(ValueError, match=message):
        list(standard_input(form, None, skip_bad_rows=False).rows)
    pipe(content)
    rows = standard_input(form, None, skip_bad_rows=True)
    assert len(list(rows.rows)) == left
    assert rows.skipped == 1


def test_an_empty_table_and_a_terminal_are_refused(pipe: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> None:
    pipe(b"")
    with pytest.raises(ValueError, match="Standard input is empty; expected a header and rows"):
        standard_input("csv", None, skip_bad_rows=False)
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True)
    with pytest.raises(ValueError, match="There is nothing to read: give texts as arguments, a file, or pipe"):
        standard_input("text", None, skip_bad_rows=False)


@pytest.mark.parametrize("form", ["text", "csv", "jsonl"])
def test_a_chunk_ends_where_the_next_row_has_to_be_waited_for(monkeypatch: pytest.MonkeyPatch, form: Any) -> None:
    reading, writing = os.pipe()
    monkeypatch.setattr(sys, "stdin", os.fdopen(reading))

    def line(text: str) -> bytes:
        return (json.dumps({"text": text}) if form == "jsonl" else text).encode() + b"\n"

    with os.fdopen(writing, "wb", buffering=0) as file:
        file.write((b"text\n" if form == "csv" else b"") + line("one") + line("two") + line("three") + b"fo"[:0])
        chunks = in_chunks(standard_input(form, None, skip_bad_rows=False), 2)
        texts = lambda: [row.text for row in next(chunks)]  # noqa: E731
        assert texts() == ["one", "two"]  # as many as a chunk may have
        assert texts() == ["three"]  # the pipe is open and empty: nothing is waited for
        half = line("four")
        file.write(half[:2])
        file.write(half[2:] + line("five"))
        assert texts() == ["four", "five"]
    assert list(chunks) == []
    sys.stdin.close()
