"""Tests of group ids and the label index."""

import dataclasses
import datetime as dt
import enum
import fractions
import subprocess
import sys
import uuid
from decimal import Decimal
from pathlib import PurePosixPath, PureWindowsPath
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch

from quaterion.dataset.labels import LabelIndex, group_id, group_ids


def test_ints_keep_their_values_whatever_type_carries_them():
    values = [3, True, np.int32(3), torch.tensor(3), 3.0, np.float32(3)]
    assert [group_id(value) for value in values] == [3, 1, 3, 3, 3, 3]


def test_equal_labels_have_equal_ids_and_different_ones_differ():
    labels = ["a", "b", "a", ("a", 1), ("a", 1), (None,), b"a", 2.5, -7]
    ids = group_ids(labels).tolist()
    assert ids[0] == ids[2] and ids[3] == ids[4]
    assert len(set(ids)) == 7


def test_ids_of_strings_are_the_same_in_another_process():
    code = "from quaterion.dataset.labels import group_id; print(group_id('card arrival'))"
    runs = [
        subprocess.run(
            [sys.executable, "-c", code], env={"PYTHONHASHSEED": seed, "PATH": ""}, capture_output=True, check=True
        )
        for seed in ("1", "2")
    ]
    assert {int(run.stdout) for run in runs} == {group_id("card arrival")}


@pytest.mark.parametrize("nan", [float("nan"), np.float64("nan"), torch.tensor(float("nan")), Decimal("nan")])
def test_nan_is_refused_with_the_position(nan):
    with pytest.raises(ValueError, match=r"Sample 1: A group is NaN.*drop the row"):
        group_ids([0, nan])


def test_unhashable_groups_are_refused_with_value_and_type():
    with pytest.raises(TypeError, match=r"Sample 0: A group is \['a'\], an unhashable list.*tuple"):
        group_ids([["a"]])


@dataclasses.dataclass(frozen=True)
class Intent:
    name: str
    level: float
    note: object = dataclasses.field(default=None, compare=False)


class Point(NamedTuple):
    x: int
    y: int


Level = enum.IntEnum("Level", "LOW HIGH")
Colour = enum.StrEnum("Colour", {"RED": "red"})
Plain = enum.Enum("Plain", "A B")


@pytest.mark.parametrize(
    ("label", "equal"),
    [
        ((1, 2), (1.0, 2.0)),
        ((np.int64(1), "a"), (True, np.str_("a"))),
        ((torch.tensor(1),), (1,)),
        (0.5, Decimal("0.5")),
        (0.5, fractions.Fraction(1, 2)),
        (0.5, np.float32(0.5)),
        (7, fractions.Fraction(7)),
        (7, 7 + 0j),
        (float("inf"), Decimal("Infinity")),
        (Point(1, 2), (1, 2.0)),
        (frozenset({1, 2.0}), frozenset({1.0, 2})),
        (((1,), frozenset({(2,)})), ((1.0,), frozenset({(2.0,)}))),
        (range(0, 4, 2), range(0, 3, 2)),
        (range(0), range(5, 5)),
        (PureWindowsPath("A/b"), PureWindowsPath(r"a\B")),
        (Intent("buy", 1, note=[]), Intent("buy", 1.0)),
        (Level.LOW, 1),
        (Colour.RED, "red"),
        (
            dt.datetime(2020, 1, 1, 12, tzinfo=dt.UTC),
            dt.datetime(2020, 1, 1, 13, tzinfo=dt.timezone(dt.timedelta(hours=1))),
        ),
    ],
)
def test_labels_that_are_equal_have_equal_ids_whatever_their_types(label: Any, equal: Any):
    assert label == equal
    assert group_id(label) == group_id(equal)


def test_labels_that_differ_have_different_ids():
    labels = [
        *("a", b"a", 0.5, 1.5, 1 + 2j, 2 + 1j, float("inf"), float("-inf"), Decimal("0.1"), 0.1),
        *((), ("a",), ("a", "b"), (("a", "b"),), frozenset({"a", "b"}), frozenset(), ("path", "a")),
        *(range(3), range(0, 3, 2), range(1), PurePosixPath("a"), PurePosixPath("A"), PureWindowsPath("a")),
        *(Intent("buy", 1), Intent("buy", 2), Plain.A, Plain.B, uuid.UUID(int=3), dt.date(2020, 1, 1)),
        *(dt.datetime(2020, 1, 1), dt.datetime(2020, 1, 1, tzinfo=dt.UTC), dt.time(3), dt.timedelta(3)),
    ]
    assert len(set(group_ids(labels).tolist())) == len(labels)


@pytest.mark.parametrize("label", [object(), int, ("a", object())])
def test_a_hashable_object_without_readable_content_is_refused(label):
    with pytest.raises(
        TypeError, match=r"of type (object|type), whose content cannot be read\. Expected a number, .* str\(label\)"
    ):
        group_id(label)


def test_what_is_refused_on_its_own_is_refused_in_a_tuple():
    with pytest.raises(ValueError, match="A group is NaN"):
        group_id(("a", float("nan")))
    with pytest.raises(TypeError, match=r"A group is \['a'\], an unhashable list"):
        group_id((1, ["a"]))


def learned(num_groups: int, *data_sets: list[Any]) -> LabelIndex:
    index = LabelIndex(num_groups)
    for labels in data_sets:
        ids = group_ids(labels)
        index.learn(ids, dict(zip(ids.tolist(), labels, strict=True)))
    return index


def test_ints_in_range_take_their_own_rows_and_leave_the_others_free():
    index = learned(5, [3, 1, 3])
    assert index.labels == [None, 1, None, 3, None]
    classes = index(torch.tensor([1, 3, 0])).tolist()
    assert classes[:2] == [1, 3]
    assert classes[2] < 0  # training never saw it
    assert learned(5, [3, 1], [4, 3]).labels == [None, 1, None, 3, 4]
    assert learned(5, [3, 1], ["b", "a"]).labels == ["a", 1, "b", 3, None]


def test_ints_whose_rows_are_taken_get_free_ones():
    index = learned(5, ["b", "a"], [0, 4])
    assert index.labels == ["a", "b", 0, 4, None]
    assert index(torch.tensor([0, 4])).tolist() == [2, 3]


def test_a_missing_group_and_one_of_several_values_are_refused():
    with pytest.raises(ValueError, match="Sample 1: A group is None, so all objects without a label"):
        group_ids(["a", None])
    with pytest.raises(TypeError, match=r"A group is a tensor of shape \[2\]"):
        group_id(torch.tensor([1, 2]))


def test_an_int_beyond_64_bits_is_refused():
    assert group_id(2**63 - 1) == 2**63 - 1
    with pytest.raises(ValueError, match="does not fit 64 bits"):
        group_id(2**63)


def test_an_index_follows_one_of_as_many_or_fewer_classes():
    small, large = LabelIndex(2), LabelIndex(4)
    large.learn(group_ids(["z"]), {})
    ids = group_ids(["b", "a"])
    small.learn(ids, dict(zip(ids.tolist(), ["b", "a"], strict=True)))
    large.follow(small)
    assert large.labels == ["a", "b", None, None]
    assert large(ids).tolist() == [1, 0] and int(large(group_ids(["z"]))) < 0
    large.learn(group_ids(["z"]), {})
    assert large(group_ids(["z", "a"])).tolist() == [2, 0]


def test_a_label_that_a_checkpoint_cannot_hold_is_text_until_it_is_learned_again():
    day = dt.date(2020, 2, 29)
    ids = group_ids([day, ("a", 1)])
    names = dict(zip(ids.tolist(), [day, ("a", 1)], strict=True))
    index, other = LabelIndex(3), LabelIndex(3)
    index.learn(ids, names)
    other.load_state_dict(index.state_dict())
    assert sorted(map(str, other.labels)) == sorted([repr(day), str(("a", 1)), "None"])
    assert ("a", 1) in other.labels
    other.learn(ids, names)
    assert other.labels == index.labels and other(ids).tolist() == index(ids).tolist()
