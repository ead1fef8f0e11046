"""Tests of group ids and the label index."""

import subprocess
import sys
from decimal import Decimal

import numpy as np
import pytest
import torch

from quaterion.dataset.labels import group_id, group_ids


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


def test_a_hashable_object_without_readable_content_is_refused():
    with pytest.raises(TypeError, match=r"content cannot be read"):
        group_id(object())


def test_a_missing_group_and_one_of_several_values_are_refused():
    with pytest.raises(ValueError, match="Sample 1: A group is None, so all objects without a label"):
        group_ids(["a", None])
    with pytest.raises(TypeError, match=r"A group is a tensor of shape \[2\]"):
        group_id(torch.tensor([1, 2]))


def test_an_int_beyond_64_bits_is_refused():
    assert group_id(2**63 - 1) == 2**63 - 1
    with pytest.raises(ValueError, match="does not fit 64 bits"):
        group_id(2**63)
