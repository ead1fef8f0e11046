"""What is read of a file: objects, ids, and what is kept with them."""

import datetime as dt
from typing import Any

import pytest

from quaterion.indexing import Columns, read_corpus

ROWS = [
    {"title": "one", "year": "1999", "key": "a"},
    {"title": "two", "year": "2001", "key": "b"},
    {"title": "one", "year": "1999", "key": "a"},
    {"title": " ", "year": "2002", "key": "c"},
]


def test_each_object_is_read_once_with_its_fields() -> None:
    corpus = read_corpus(ROWS, id="key", numbers=["year"])
    assert corpus.columns == Columns("title", "key", ("year",), ("year",))
    assert [tuple(item) for item in corpus] == [
        ("a", "one", {"title": "one", "year": 1999}),
        ("b", "two", {"title": "two", "year": 2001}),
    ]
    assert (len(corpus), corpus.repeated, corpus.empty, corpus.bad) == (2, 1, 1, 0)
    assert [item.id for item in corpus] == ["a", "b"]  # and again


def test_without_a_column_of_ids_the_id_tells_the_content_wherever_the_row_stands() -> None:
    first = {item.obj: item.id for item in read_corpus(ROWS)}
    second = {item.obj: item.id for item in read_corpus(ROWS[::-1])}
    assert first == second
    assert len(set(first.values())) == 2
    other = [{"title": "one", "year": "2000", "key": "a"}]
    assert next(iter(read_corpus(other))).id != first["one"]


def test_objects_that_are_no_texts_are_told_apart() -> None:
    corpus = read_corpus([{"text": [1.0, 2.0]}, {"text": [2.0, 1.0]}, {"text": [1.0, 2.0]}])
    assert [(item.obj, item.payload) for item in corpus] == [([1.0, 2.0], {}), ([2.0, 1.0], {})]


def test_values_that_json_does_not_know_are_kept_as_what_it_knows() -> None:
    row = {"text": "a", "day": dt.date(2026, 1, 2), "share": float("nan"), "tags": ("x", 1)}
    assert next(iter(read_corpus([row]))).payload == {
        "text": "a", "day": "2026-01-02", "share": None, "tags": ["x", 1],
    }  # fmt: skip


@pytest.mark.parametrize(
    ("rows", "options", "message"),
    [
        (ROWS, {"text": "body"}, r"no column 'body'. It has 'title', 'year', 'key'"),
        (ROWS, {"text": "title", "id": "title"}, "is given for the objects and for the ids"),
        ([{"a": "x", "b": "y"}], {}, "Cannot tell which column of a list holds the objects; it has 'a', 'b'. Name it"),
        (
            [{"text": "x", "id": 1}, {"text": "y", "id": 2}, {"text": "z", "id": 1}],
            {"id": "id"},
            "the id 1 in item 0 and, with other content, in item 2. Give each object an id of its own",
        ),
        ([{"text": "x", "id": 1.5}], {"id": "id"}, "item 0: field 'id': the id is 1.5; expected a text or an integer"),
        ([{"text": "x"}, {"text": "y", "id": 1}], {"id": "id"}, "item 0: field 'id': the id is missing"),
        ([{"text": "x", "n": "many"}], {"numbers": ["n"]}, r"field 'n': 'many' is no number. .*--skip-bad-rows"),
        (ROWS, {"numbers": ["year"], "fields": []}, "'year' shall be a number and is not kept"),
        ([{"text": ""}], {}, "a list has no object in the column 'text'"),
    ],
)
def test_what_is_wrong_with_the_data_is_one_sentence(rows: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read_corpus(rows, **options)


def test_bad_rows_can_be_left_out() -> None:
    corpus = read_corpus([{"text": "x", "n": "1.5"}, {"text": "y", "n": "?"}], numbers=["n"], skip_bad_rows=True)
    assert [item.payload for item in corpus] == [{"text": "x", "n": 1.5}]
    assert corpus.bad == 1
