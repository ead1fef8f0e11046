"""One pass over a data set gives all that caching and checking need, and disturbs nothing."""

import random

import numpy as np
import pytest
import torch

from quaterion.dataset import (
    GroupSimilarityDataLoader,
    PairsSimilarityDataLoader,
    SimilarityGroupSample,
    SimilarityPairSample,
)
from quaterion.dataset.object_reading import ObjectReading
from quaterion.dataset.reading import differing_sample, read_data_set
from quaterion_models.collate import ModelCollate
from quaterion_models.content_key import content_key

TEXTS = {"texts": ObjectReading(content_key, len)}
NO_META = ModelCollate({}, {})


class Noisy:
    """A data set that draws from every global generator when it is read."""

    def __len__(self):
        return 700

    def __getitem__(self, index):
        noise = random.random() + np.random.rand() + float(torch.rand(1))  # noqa: NPY002
        return SimilarityGroupSample(f"text {index % 500} {noise > 0}", index % 3)


@pytest.mark.parametrize("workers", [0, 2])
def test_keys_lengths_and_targets_stand_in_the_order_of_the_data(workers):
    reading = read_data_set(GroupSimilarityDataLoader(Noisy(), num_workers=workers), TEXTS, NO_META)
    texts = [f"text {i % 500} True" for i in range(700)]
    assert [key.tobytes() for key in reading.keys["texts"]] == [content_key(text) for text in texts]
    assert reading.lengths["texts"].tolist() == [len(text) for text in texts]
    assert reading.table.all().groups.tolist() == [i % 3 for i in range(700)]
    assert reading.offsets.tolist() == list(range(701))
    assert reading.complete and reading.objects is None


def test_reading_leaves_every_global_random_state_as_it_was():
    for seed in (random.seed, np.random.seed, torch.manual_seed):
        seed(5)
    read_data_set(GroupSimilarityDataLoader(Noisy(), shuffle=True), TEXTS, NO_META)
    after = random.random(), np.random.rand(), float(torch.rand(1))  # noqa: NPY002
    for seed in (random.seed, np.random.seed, torch.manual_seed):
        seed(5)
    assert after == (random.random(), np.random.rand(), float(torch.rand(1)))  # noqa: NPY002


def test_objects_of_pairs_are_numbered_sample_by_sample():
    data = [SimilarityPairSample("a", "bb"), SimilarityPairSample("ccc", "a", negatives=["dddd", "e"])]
    reading = read_data_set(PairsSimilarityDataLoader(data), TEXTS, NO_META)
    assert reading.offsets.tolist() == [0, 2, 6]
    assert reading.lengths["texts"].tolist() == [1, 2, 3, 1, 4, 1]
    assert reading.table.all().ids.tolist()[0] == reading.table.all().ids.tolist()[3]


def test_sides_reach_the_side_information_of_two_sided_models_only():
    data = [SimilarityPairSample("a", "b", negatives=["c"])]
    collate = ModelCollate({}, {"default": lambda objects: [{} for _ in objects]})
    two = read_data_set(PairsSimilarityDataLoader(data), TEXTS, collate, two_sided=True)
    assert [meta["encoder"] for meta in two.metas] == ["query", "document", "document"]
    assert read_data_set(PairsSimilarityDataLoader(data), TEXTS, collate).metas is None


@pytest.mark.parametrize("workers", [0, 1])
def test_a_bad_sample_is_named_by_its_place_in_the_data_set(workers):
    data = [SimilarityGroupSample("a", 0)] * 300 + [SimilarityGroupSample("b", float("nan"))]
    with pytest.raises(ValueError, match="Sample 300: A group is NaN"):
        read_data_set(GroupSimilarityDataLoader(data, num_workers=workers), {}, NO_META)


def test_a_reading_that_ran_out_of_time_says_so():
    reading = read_data_set(GroupSimilarityDataLoader(Noisy()), {}, NO_META, max_seconds=0.0001)
    assert not reading.complete and len(reading.table) < 700


def whole_texts(objects):
    return [{"length": len(obj)} for obj in objects]


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize("place", [0, 300])
def test_an_object_that_cannot_be_read_is_named_by_its_sample(workers, place):
    data = [SimilarityPairSample("a", "b") for _ in range(400)]
    data[place] = SimilarityPairSample("a", 5)
    loader = PairsSimilarityDataLoader(data, num_workers=workers)
    in_keys = {"texts": ObjectReading(lambda text: content_key(text + ""), len)}
    for readings, collate in ((in_keys, NO_META), ({}, ModelCollate({}, {"default": whole_texts}))):
        with pytest.raises(TypeError, match=rf"Sample {place}: .*int"):
            read_data_set(loader, readings, collate)
    with pytest.raises(TypeError, match=r"^Sample 0: .*int"):
        differing_sample(PairsSimilarityDataLoader([SimilarityPairSample(5, "a")]), in_keys)


def test_an_error_that_no_sample_has_alone_is_raised_as_it_is():
    def few(objects):
        if len(objects) > 2:
            raise ValueError("too many at once")
        return [{} for _ in objects]

    data = [SimilarityPairSample("a", "b")] * 3
    with pytest.raises(ValueError, match="^too many at once$"):
        read_data_set(PairsSimilarityDataLoader(data), {}, ModelCollate({}, {"default": few}))
