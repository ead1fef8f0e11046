"""K seeded versions of each object in the cache, of which training draws one in every step."""

import random
from collections import Counter

import numpy as np
import pytest
import torch
from torch.utils.data import IterableDataset

from quaterion.cache import CacheConfig, CacheType
from quaterion.cache.prepare import BatchSource
from quaterion.dataset import (
    GroupSimilarityDataLoader,
    PairsSimilarityDataLoader,
    SimilarityGroupSample,
    SimilarityPairSample,
)
from quaterion.dataset.randomness import undisturbed_randomness
from quaterion.dataset.views import ViewedDataset
from quaterion_models import SimilarityModel
from quaterion_models.heads import EmptyHead

COUNT, VIEWS = 20, 3


def letters(index, first, second, third):
    """An object, by the number of "a", and its version, by three numbers in 1..99."""
    return "a" * index + "b" * first + "c" * second + "d" * third


class Augmented:
    """Texts with a number from each global generator in them; counts how often it is read."""

    def __init__(self):
        self.reads = 0

    def __len__(self):
        return COUNT

    def __getitem__(self, index):
        self.reads += 1
        drawn = random.randint(1, 99), np.random.randint(1, 100), int(torch.randint(1, 100, ()))  # noqa: NPY002
        return SimilarityGroupSample(letters(index, *drawn), index)


def versions_of(dataset):
    """The vectors that the versions of each item have, as they are read one by one."""
    viewed = ViewedDataset(dataset, views=VIEWS)
    with undisturbed_randomness():
        texts = [[sample.obj for sample in viewed[index]] for index in range(COUNT)]
    return [[tuple(float(text.count(letter)) for letter in "abcd") for text in versions] for versions in texts]


def states():
    return random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()  # noqa: NPY002


@pytest.fixture
def prepare(letter_counts):
    """A loader's batches through a cache, and the encoder that fills it."""

    def prepared(dataset, config=None, *, encoders=None, loader_type=GroupSimilarityDataLoader, **loading):
        encoder = letter_counts() if encoders is None else encoders
        size = 4 if encoders is None else 4 * len(encoders)
        source = BatchSource(
            SimilarityModel(encoder, EmptyHead(size)), config or CacheConfig(views=VIEWS), torch.device("cpu")
        )
        loader = loader_type(dataset, **{"batch_size": 6} | loading)
        return source.batches(loader, source.read(loader)), encoder

    return prepared


def drawn_in(batches):
    """Object and vector of each row of one epoch."""
    return [
        (group, tuple(vector))
        for batch in batches
        for group, vector in zip(
            batch.features.cached["default"][:, 0].int().tolist(),
            batch.features.cached["default"].tolist(),
            strict=True,
        )
    ]


@pytest.mark.parametrize("workers", [0, 2])
def test_every_step_draws_one_of_an_objects_own_versions_and_over_epochs_all_of_them(prepare, workers):
    batches, encoder = prepare(Augmented(), shuffle=True, num_workers=workers)
    versions = versions_of(Augmented())
    assert sum(map(len, encoder.batches)) == COUNT * VIEWS == len({v for one in versions for v in one})
    seen = Counter()
    torch.manual_seed(0)
    for _ in range(60):
        epoch = drawn_in(batches)
        assert sorted(index for index, _ in epoch) == list(range(COUNT))
        assert all(vector in versions[index] for index, vector in epoch)
        seen.update(vector for _, vector in epoch)
    assert set(seen) == {vector for one in versions for vector in one}
    assert max(seen.values()) < 40  # of 60; 20 are to be expected


def test_the_targets_are_those_of_the_objects_that_were_drawn(prepare):
    batches, _ = prepare(Augmented(), shuffle=True)
    groups = {}
    for batch in batches:
        for index, group in zip(
            batch.features.cached["default"][:, 0].tolist(), batch.targets.groups.tolist(), strict=True
        ):
            groups[index] = group
    assert len(groups) == len(set(groups.values())) == COUNT


def test_both_sides_of_a_pair_are_drawn_from_their_own_versions(prepare):
    class Pairs(Augmented):
        def __getitem__(self, index):
            sides = [super(Pairs, self).__getitem__(index + side * COUNT).obj for side in range(2)]
            return SimilarityPairSample(*sides)

    viewed = ViewedDataset(Pairs(), views=VIEWS)
    batches, encoder = prepare(Pairs(), loader_type=PairsSimilarityDataLoader)
    with undisturbed_randomness():
        texts = {text for index in range(COUNT) for pair in viewed[index] for text in (pair.obj_a, pair.obj_b)}
    assert sorted(text for batch in encoder.batches for text in batch) == sorted(texts)
    for batch in batches:
        first, second = batch.features.cached["default"].chunk(2)
        assert torch.equal(first[:, 0] + COUNT, second[:, 0])


def test_a_second_run_finds_all_versions_in_the_cache(prepare, tmp_path):
    config = CacheConfig(views=VIEWS, save_dir=tmp_path)
    first, encoder = prepare(Augmented(), config)
    assert sum(map(len, encoder.batches)) == COUNT * VIEWS
    torch.manual_seed(4)
    expected = drawn_in(first)
    again, encoder = prepare(Augmented(), config)
    assert not encoder.batches
    torch.manual_seed(4)
    assert drawn_in(again) == expected


def test_more_versions_encode_only_those_that_are_new(prepare, tmp_path):
    for views in (VIEWS, VIEWS + 2):
        _, encoder = prepare(Augmented(), CacheConfig(views=views, save_dir=tmp_path))
    assert sum(map(len, encoder.batches)) == 2 * COUNT


def test_the_same_seed_draws_the_same_versions_in_every_epoch_and_another_seed_others(prepare):
    runs = []
    for seed in (1, 1, 2):
        batches, _ = prepare(Augmented())
        torch.manual_seed(seed)
        runs.append([drawn_in(batches) for _ in range(3)])
    assert runs[0] == runs[1] != runs[2]
    assert runs[0][0] != runs[0][1] != runs[0][2]


def test_filling_leaves_every_global_random_state_as_it_was_and_epochs_draw_no_more_than_without_views(prepare):
    texts = [SimilarityGroupSample("a" * n, n) for n in range(COUNT)]
    plain, _ = prepare(texts, CacheConfig(), shuffle=True)
    before = states()
    batches, _ = prepare(Augmented(), shuffle=True)
    assert states() == before
    after = []
    for one in (plain, batches):
        torch.manual_seed(8)
        order = [index for _ in range(2) for index, _ in drawn_in(one)]
        after.append((order, states()))
    assert after[0] == after[1]


def test_a_random_transform_without_views_is_refused_before_the_long_reading(prepare):
    dataset = Augmented()
    before = states()
    with pytest.raises(ValueError, match=r"Sample 0 differs between two reads.*CacheConfig\(views=K\).*CacheType.NONE"):
        prepare(dataset, CacheConfig())
    assert dataset.reads <= 6
    assert states() == before


class WithGenerator(Augmented):
    """Draws from a generator of its own, from a given item on, which no seed of others reaches."""

    def __init__(self, start=0):
        super().__init__()
        self.start, self.generator = start, random.Random(0)

    def __getitem__(self, index):
        self.reads += 1
        noise = self.generator.randint(1, 10**6) if index >= self.start else 0
        return SimilarityGroupSample(f"{'a' * index} {noise}", index)


@pytest.mark.parametrize("views", [1, 2])
def test_a_transform_with_a_generator_of_its_own_is_found_out(prepare, views):
    with pytest.raises(ValueError, match=r"Sample \d+ differs between two reads of the (data set|same view)"):
        prepare(WithGenerator(), CacheConfig(views=views))


class NoisyInTheMiddle(WithGenerator):
    """Only one item changes, and it is none of those that are tried before the reading."""

    def __getitem__(self, index):
        self.start = index if index == 7 else COUNT
        return super().__getitem__(index)


@pytest.mark.parametrize("views", [1, 2])
def test_a_single_item_that_changes_is_named_when_it_is_read_again_to_be_encoded(prepare, views, tmp_path):
    with pytest.raises(ValueError, match=r"Sample 7 differs between two reads of the (data set|same view)"):
        prepare(NoisyInTheMiddle(), CacheConfig(views=views, save_dir=tmp_path))


def test_an_iterable_data_set_is_refused(prepare):
    class Stream(IterableDataset):
        def __iter__(self):
            return iter([SimilarityGroupSample("a", 0)])

    with pytest.raises(TypeError, match=r"CacheConfig\(views=3\) reads items again, which the iterable Stream cannot"):
        prepare(Stream())


def test_a_second_encoder_that_runs_in_every_step_is_refused_before_anything_is_read(prepare, letter_counts):
    dataset = Augmented()
    with pytest.raises(ValueError, match=r"views=3.*must be cached, but \['b'\] run in every step"):
        prepare(
            dataset,
            CacheConfig(views=VIEWS, mapping={"b": CacheType.NONE}),
            encoders={"a": letter_counts(), "b": letter_counts()},
        )
    assert dataset.reads == 0


def test_two_cached_encoders_get_the_same_version_of_an_object(prepare, letter_counts):
    batches, _ = prepare(Augmented(), encoders={"a": letter_counts(), "b": letter_counts(version=2)})
    for batch in batches:
        assert torch.equal(2 * batch.features.cached["a"], batch.features.cached["b"])


def test_views_that_are_all_equal_are_warned_of_and_encoded_once(prepare, caplog):
    texts = [SimilarityGroupSample("a" * n, n) for n in range(COUNT)]
    batches, encoder = prepare(texts)
    assert "views=3, but all views of each object are equal: nothing transforms them" in caplog.text
    assert sum(map(len, encoder.batches)) == COUNT
    assert [index for index, _ in drawn_in(batches)] == list(range(COUNT))


def test_views_that_differ_are_not_warned_of(prepare, caplog):
    prepare(Augmented())
    assert "views" not in caplog.text
