from collections import defaultdict
from dataclasses import dataclass
from typing import NamedTuple

import pytest

from quaterion_runtime.inputs.prepare import pick


class Record(NamedTuple):
    title: str
    price: int


@dataclass
class Book:
    title: str


@pytest.mark.parametrize(
    ("record", "field"),
    [
        ({"title": "one"}, "title"),
        ({0: "one"}, 0),
        (("one", 2), 0),
        ([2, "one"], -1),
        (Record("one", 2), "title"),
        (Record("one", 2), 0),
        (Book("one"), "title"),
    ],
)
def test_a_field_is_a_key_an_index_or_an_attribute(record, field):
    assert pick([record], field, [0]) == ["one"]


@pytest.mark.parametrize(
    ("record", "field", "has"),
    [
        ({"name": "one"}, "title", r"the keys \['name'\]"),
        (("one",), 1, "the type tuple"),
        (Book("one"), "name", "the type Book"),
        (Book("one"), 0, "the type Book"),
        ("one", "title", "the type str"),  # a method of text
        ("one", 0, "the type str"),  # a letter
        (b"one", 0, "the type bytes"),
        ([1, 2], "index", "the type list"),  # a method
        (None, "title", "the type NoneType"),
    ],
)
def test_a_record_without_the_field_says_what_it_has(record, field, has):
    with pytest.raises(ValueError, match=rf"the record at position 9 has no field {field!r}, it has {has}"):
        pick([record], field, [9])


def test_without_a_field_the_objects_are_taken_as_they_are():
    objects = [{"a": 1}]
    assert pick(objects, None, [0]) is objects


def test_a_mapping_with_defaults_is_left_as_it_is():
    record = defaultdict(str)
    with pytest.raises(ValueError, match="has no field 'title'"):
        pick([record], "title", [0])
    assert not record
