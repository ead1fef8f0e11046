"""Samples that would let a model know another part of the data."""

from quaterion.dataset import SimilarityGroupSample, SimilarityPairSample
from quaterion.tuning.data.overlap import shared_documents, without_copies


def pair(anchor, positive, *negatives):
    return SimilarityPairSample(anchor, positive, negatives=list(negatives))


def test_objects_of_groups_are_left_out_whatever_their_group():
    samples = [SimilarityGroupSample(text, "a") for text in ("one", "two", "three")]
    assert without_copies(samples, [SimilarityGroupSample("two", "b")], "groups") == [samples[0], samples[2]]


def test_a_pair_is_left_out_where_an_anchor_is_on_the_other_side_in_any_role():
    other = [pair("q", "d", "n")]
    assert without_copies([pair("q", "x"), pair("x", "q"), pair("x", "y", "q")], other, "pairs") == []
    assert without_copies([pair("d", "x"), pair("n", "x")], other, "pairs") == []


def test_documents_alone_may_be_on_both_sides_of_pairs_and_not_of_scored_pairs():
    samples, other = [pair("p", "d"), pair("r", "e", "n"), pair("s", "f")], [pair("q", "d", "n")]
    assert without_copies(samples, other, "pairs") == samples
    assert shared_documents(samples, other) == 2
    assert without_copies(samples, other, "scored pairs") == [samples[2]]
