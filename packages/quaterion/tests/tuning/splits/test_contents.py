"""Objects as numbers by their content."""

from pathlib import PurePosixPath

import numpy as np

from quaterion.tuning.splits.contents import content_of, numbered


def test_equal_content_is_equal_whatever_the_object():
    assert content_of(np.str_("ab")) == content_of("ab")
    assert content_of([1, "a"]) == content_of([1, "a"])
    assert content_of(np.zeros(2)) == content_of(np.zeros(2)) != content_of(np.ones(2))
    assert len({content_of(one) for one in ("1", 1, 1.0, b"1")}) == 4


def test_objects_without_a_content_key_are_told_apart_by_equality_or_identity():
    assert content_of(PurePosixPath("a")) == content_of(PurePosixPath("a")) != content_of(PurePosixPath("b"))

    class Unhashable:
        __hash__ = None

    one, other = Unhashable(), Unhashable()
    assert content_of(one) == content_of(one) != content_of(other)


def test_numbers_follow_the_first_occurrences():
    assert numbered(["b", "a", "b", "c"]).tolist() == [0, 1, 0, 2]
