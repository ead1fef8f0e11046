"""Tests of both loaders as a user iterates them."""

import numpy as np
import pytest
import torch

from quaterion.dataset import (
    GroupSimilarityDataLoader,
    PairsSimilarityDataLoader,
    SimilarityGroupDataset,
    SimilarityGroupSample,
    SimilarityPairSample,
)
from quaterion.dataset.similarity_data_loader import object_ids


def test_a_group_loader_gives_ids_objects_and_groups():
    data = [SimilarityGroupSample("a", 1), SimilarityGroupSample("b", 2), SimilarityGroupSample("a", 1)]
    ids, objects, labels = next(iter(GroupSimilarityDataLoader(data, batch_size=3)))
    assert objects == ["a", "b", "a"]
    assert labels["groups"].tolist() == [1, 2, 1] and labels["groups"].dtype == torch.int64
    assert ids[0] == ids[2] != ids[1]


def test_a_pair_loader_lays_out_anchors_then_partners_then_negatives():
    data = [
        SimilarityPairSample("a0", "b0", score=1, subgroup="x"),
        SimilarityPairSample("a1", "b1", score=0.5, subgroup="y", negatives=["n0", "n1"]),
        SimilarityPairSample("a2", "b2", negatives=["n2"]),
    ]
    _, objects, labels = next(iter(PairsSimilarityDataLoader(data, batch_size=3)))
    assert objects == ["a0", "a1", "a2", "b0", "b1", "b2", "n0", "n1", "n2"]
    assert labels["pairs"].tolist() == [[0, 3], [1, 4], [2, 5]]
    assert labels["labels"].tolist() == [1, 0.5, 1] and labels["labels"].dtype == torch.float32
    assert labels["negatives"].tolist() == [[1, 6], [1, 7], [2, 8]]
    x, y, zero, *again = labels["subgroups"].tolist()
    assert again == [x, y, zero] and len({x, y, zero}) == 3


def test_subgroups_keep_all_64_bits():
    big = 2**53 + 1  # not representable as float
    labels = PairsSimilarityDataLoader.collate_labels([SimilarityPairSample("a", "b", subgroup=big)])
    assert labels["subgroups"].tolist() == [big, big]


def test_flatten_objects_gives_positions_where_no_hashes_are_asked_for():
    batch = [SimilarityGroupSample("a", 0), SimilarityGroupSample("a", 0)]
    assert GroupSimilarityDataLoader.flatten_objects(batch, hash_ids=False) == ([0, 1], ["a", "a"])


def test_objects_without_readable_content_count_as_different():
    same = object()
    first, second = object_ids([same, same])
    assert first != second


def test_a_group_data_set_wraps_records_and_labels():
    data = SimilarityGroupDataset([("x", "l"), ("y", "m")])
    assert [sample.group for sample in data] == ["l", "m"]
    with pytest.raises(TypeError, match=r"Item 0 of the data set is a int; expected a \(record, label\) tuple"):
        SimilarityGroupDataset([1])[0]


@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize("loader", [GroupSimilarityDataLoader, PairsSimilarityDataLoader])
def test_an_empty_data_set_is_refused(loader, shuffle):
    with pytest.raises(ValueError, match=f"{loader.__name__} got an empty data set"):
        loader([], shuffle=shuffle)


def test_items_of_the_wrong_kind_are_named():
    with pytest.raises(TypeError, match="yields a str; expected SimilarityGroupSample"):
        next(iter(GroupSimilarityDataLoader(["text"])))
    with pytest.raises(TypeError, match="yields a SimilarityGroupSample; expected SimilarityPairSample"):
        next(iter(PairsSimilarityDataLoader([SimilarityGroupSample("a", 0)])))


def test_a_score_that_is_no_number_is_named():
    for wrong in ("high", "0.7", None):
        samples = [SimilarityPairSample("a", "b", score=score) for score in (np.float32(0.5), wrong)]
        with pytest.raises(TypeError, match=f"score {wrong!r}; expected a number"):
            PairsSimilarityDataLoader.collate_labels(samples)


@pytest.mark.parametrize("negatives", [None, "Lyon", b"Lyon"])
def test_negatives_that_are_no_list_are_refused(negatives):
    with pytest.raises(TypeError, match="expected a list of objects"):
        PairsSimilarityDataLoader.collate_labels([SimilarityPairSample("a", "b", negatives=negatives)])


def test_a_nan_subgroup_is_refused():
    with pytest.raises(ValueError, match="NaN.*subgroup"):
        PairsSimilarityDataLoader.collate_labels([SimilarityPairSample("a", "b", subgroup=float("nan"))])
