"""Duplicate, empty and conflicting rows."""

import numpy as np
import pytest
import torch

from quaterion.dataset.files import read_samples


def remarks(samples):
    return [(remark.kind, remark.place, remark.field) for remark in samples.remarks]


def group_samples(*rows, **options):
    return read_samples([{"text": text, "group": group} for text, group in rows], **options)


def test_a_repeated_object_of_one_group_is_left_out_and_one_of_another_group_kept_and_told():
    samples = group_samples(("one", "a"), ("one", "a"), ("one", "b"), ("two", "b"))
    assert [(one.obj, one.group) for one in samples] == [("one", "a"), ("one", "b"), ("two", "b")]
    assert remarks(samples) == [("duplicate", 1, None), ("conflict", 2, "group")]
    assert samples.remarks[1].problem == "'b', but the same object is 'a' in item 0"


def test_spaces_around_a_group_are_no_part_of_it_and_those_of_a_text_are():
    samples = group_samples((" one", "a"), ("one", " a "))
    assert [(one.obj, one.group) for one in samples] == [(" one", "a"), ("one", "a")]


def test_blank_fields_are_empty():
    samples = group_samples(("", "a"), (" \n", "a"), ("one", ""), ("one", "  "), (None, "a"), ("two", "a"))
    assert [(place, field) for _, place, field in remarks(samples)] == [
        (0, "text"),
        (1, "text"),
        (2, "group"),
        (3, "group"),
        (4, "text"),
    ]
    assert samples.counts["empty"] == 5


def test_an_unhashable_group_is_bad():
    with pytest.raises(
        ValueError, match="a list, item 1, field 'group': a list is no group; expected a text or a number"
    ):
        group_samples(("one", "a"), ("two", ["b"]))


@pytest.mark.parametrize(
    ("group", "what"), [(2**63, "an int of more than 64 bits"), (object(), "a object"), (("a", [1]), "a tuple")]
)
def test_a_group_that_training_could_not_take_is_bad_where_it_is_read(group, what):
    with pytest.raises(ValueError, match=rf"a list, item 1, field 'group': {what} is no group; expected a text or a"):
        group_samples(("one", "a"), ("two", group))


def test_groups_in_tensors_and_numpy_numbers_are_their_values():
    samples = group_samples(("one", torch.tensor(3)), ("one", np.int64(3)), ("two", torch.tensor(3)))
    assert [(one.obj, one.group) for one in samples] == [("one", 3), ("two", 3)]
    assert remarks(samples) == [("duplicate", 1, None)]
    assert "2 samples of 1 group" in str(samples)


def test_equal_objects_that_are_no_texts_repeat_each_other():
    samples = group_samples(((1, 2), "a"), ((1, 2), "a"), ((1, 3), "a"))
    assert [one.obj for one in samples] == [(1, 2), (1, 3)]


def pair_samples(*rows, names=("anchor", "positive", "score"), **options):
    return read_samples([dict(zip(names, row, strict=True)) for row in rows], **options)


def test_a_repeated_pair_is_left_out_where_there_are_no_scores():
    samples = pair_samples(("a", "b"), ("a", "b"), ("b", "a"), names=("anchor", "positive"))
    assert [(one.obj_a, one.obj_b) for one in samples] == [("a", "b"), ("b", "a")]
    assert remarks(samples) == [("duplicate", 1, None)]


def test_a_repeated_pair_with_scores_is_kept_and_counted_and_another_score_is_a_conflict():
    samples = pair_samples(("a", "b", 1), ("a", "b", 1), ("a", "b", 0))
    assert [one.score for one in samples] == [1, 1, 0]
    assert remarks(samples) == [("duplicate", 1, None), ("conflict", 2, "score")]
    assert "Kept 1 duplicate row: item 1." in str(samples)
    assert "item 2, field 'score': 0, but the same pair has 1 in item 0" in str(samples)


def test_pairs_with_other_negatives_are_no_duplicates():
    samples = pair_samples(("a", "b", "c"), ("a", "b", "d"), names=("anchor", "positive", "negative"))
    assert [list(one.negatives) for one in samples] == [["c"], ["d"]]


def test_a_negative_that_is_the_positive_is_left_out_and_told_and_an_empty_one_is_none():
    samples = pair_samples(("a", "b", ["b", "c", "", None]), names=("anchor", "positive", "negatives"))
    assert list(samples[0].negatives) == ["c"]
    assert remarks(samples) == [("conflict", 0, "negatives")]


def test_a_bad_negative_is_a_bad_row():
    with pytest.raises(ValueError, match="item 0, field 'negatives': half a surrogate pair"):
        pair_samples(("a", "b", ["\ud83d"]), names=("anchor", "positive", "negatives"))


def test_an_empty_side_of_a_pair_is_told_with_its_column():
    samples = pair_samples(("", "b", 1), ("a", None, 1), ("a", "b", 1))
    assert remarks(samples) == [("empty", 0, "anchor"), ("empty", 1, "positive")]
