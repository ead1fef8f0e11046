import collections
import collections.abc

import numpy as np
import pytest
import torch
from torch.utils.data import Dataset, IterableDataset

from quaterion_models.encode.objects import as_objects, as_stream

Point = collections.namedtuple("Point", "x y")  # noqa: PYI024


@pytest.mark.parametrize(
    ("inputs", "count"),
    [
        (["a", "b"], 2),
        (("a", "b", "c"), 3),
        (range(4), 4),
        (np.zeros((5, 3)), 5),
        (np.array(["a", "b"]), 2),
        (np.array([{"a": 1}, None], dtype=object), 2),
        (torch.zeros(3, 2), 3),
        (torch.zeros(3, 2, 2), 3),
        ([], 0),
        ((), 0),
        (np.zeros((0, 3)), 0),
        (np.array([], dtype=str), 0),
        (torch.zeros(0, 2), 0),
    ],
)
def test_many_objects(inputs, count):
    assert len(as_objects(inputs)) == count


@pytest.mark.parametrize(
    "one",
    [
        "text",
        b"bytes",
        bytearray(b"x"),
        {"field": 1},
        Point(1, 2),
        np.zeros(3),
        np.array("text"),
        torch.zeros(3),
        7,
        None,
    ],
    ids=lambda value: type(value).__name__,
)
def test_one_object(one):
    objects = as_objects(one)
    assert len(objects) == 1
    assert objects[0] is one


@pytest.mark.parametrize("inputs", [iter(["a"]), (text for text in "ab"), {"a", "b"}, frozenset({"a"}), map(str, [])])
def test_iterators_and_sets_are_refused(inputs):
    with pytest.raises(
        TypeError,
        match=r"takes a list, tuple, array or one object, got \w+: pass list\(\.\.\.\) of it, or encode_stream",
    ):
        as_objects(inputs)


@pytest.mark.parametrize(
    "many", [iter(["a"]), (text for text in "ab"), {"a"}, ["a"], ("a",), range(3), np.zeros((2, 3)), np.array(["a"])]
)
def test_whatever_can_be_iterated_over_is_a_stream(many):
    assert as_stream(many) is many


@pytest.mark.parametrize(
    "one",
    [
        "text",
        b"bytes",
        bytearray(b"x"),
        memoryview(b"x"),
        {"field": 1},
        Point(1, 2),
        np.zeros(3),
        torch.zeros(3),
        7,
        None,
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_single_object_is_no_stream(one):
    with pytest.raises(TypeError, match=rf"takes an iterable of objects, got one object of type {type(one).__name__}"):
        as_stream(one)


class Squares(Dataset):
    """A data set that knows its length, and no end of its own."""

    def __len__(self):
        return 3

    def __getitem__(self, index):
        return index**2


class Letters(IterableDataset):
    def __iter__(self):
        return iter("ab")


def test_data_sets_of_torch_are_streams_up_to_their_length_and_not_one_object():
    squares = as_stream(Squares())
    assert (list(squares), list(squares), len(squares)) == ([0, 1, 4], [0, 1, 4], 3)
    assert list(as_stream(Letters())) == ["a", "b"]
    for data in (Squares(), Letters()):
        with pytest.raises(TypeError, match=rf"takes a list, .* got {type(data).__name__}: pass list\(\.\.\.\) of it"):
            as_objects(data)


def test_a_data_set_that_is_a_sequence_is_many_objects():
    class Both(Squares, collections.abc.Sequence):
        pass

    assert len(as_objects(Both())) == 3
