"""Batches of a fill by what the encoder counts, and only what is about to be encoded is counted."""

import pytest
import torch

from quaterion.cache import CacheConfig
from quaterion.cache.exact_lengths import counts_lengths
from quaterion.cache.prepare import BatchSource
from quaterion.dataset import PairsSimilarityDataLoader, SimilarityPairSample
from quaterion_models import SimilarityModel
from quaterion_models.encoders import FieldEncoder, SwitchEncoder
from quaterion_models.heads import EmptyHead

TEXTS = ["aaaaaaaaaa", "b b b b", "c c", "dd d d", "a", "b b b b b", "c c"]
BY_WORDS = [["b b b b b", "b b b b"], ["dd d d", "c c"], ["aaaaaaaaaa", "a"]]


@pytest.fixture
def word_counts(letter_counts):
    """An encoder for which a text is as long as it has words, whatever its characters."""

    class WordCounts(letter_counts):
        def __init__(self):
            super().__init__()
            self.counted = []

        def lengths(self, objects):
            self.counted += objects
            return [len(text.split()) for text in objects]

    return WordCounts


def test_batches_hold_objects_of_equal_counts_and_each_is_counted_once(read_batches, word_counts, tmp_path):
    config = CacheConfig(batch_size=2, save_dir=tmp_path)
    encoder = word_counts()
    vectors, _ = read_batches(TEXTS, config, encoder=encoder)
    counts = [[len(text.split()) for text in batch] for batch in encoder.batches]
    assert counts == [[5, 4], [3, 2], [1, 1]]
    assert [set(batch) for batch in encoder.batches] == [set(batch) for batch in BY_WORDS]
    assert sorted(encoder.counted) == sorted(set(TEXTS))
    expected = torch.tensor([[text.count(letter) for letter in "abcd"] for text in TEXTS]).float()
    assert torch.equal(vectors, expected)

    later = word_counts()
    read_batches([*TEXTS, "new text"], config, encoder=later)
    assert (later.counted, later.batches) == (["new text"], [["new text"]])


def test_an_interrupted_fill_goes_on_with_the_same_batches(read_batches, word_counts, tmp_path):
    class Interrupted(word_counts):
        def forward(self, batch):
            if len(self.batches) == 1:
                raise KeyboardInterrupt
            return super().forward(batch)

    config = CacheConfig(batch_size=2, save_dir=tmp_path)
    with pytest.raises(KeyboardInterrupt):
        read_batches(TEXTS, config, encoder=Interrupted())
    whole, rest = word_counts(), word_counts()
    read_batches(TEXTS, CacheConfig(batch_size=2), encoder=whole)
    read_batches(TEXTS, config, encoder=rest)
    assert rest.batches == whole.batches[1:]


def test_an_encoder_without_counts_is_asked_for_its_estimate_alone(read_batches, letter_counts, word_counts):
    class Unasked(letter_counts):
        def length(self, obj):
            read.append(obj)
            return len(obj)

    read = []
    read_batches(TEXTS, encoder=Unasked())
    assert read == TEXTS  # while the data set is read, and never again

    class Both(SwitchEncoder):
        @classmethod
        def encoder_selection(cls, record):
            return "one"

    plain, counting = letter_counts(), word_counts()
    assert [counts_lengths(one) for one in (plain, FieldEncoder("text", plain), Both({"one": plain}))] == [False] * 3
    assert [counts_lengths(one) for one in (counting, FieldEncoder("text", counting), Both({"a": plain, "b": counting}))
            ] == [True] * 3  # fmt: skip


def test_objects_are_counted_as_they_are_on_their_side(word_counts):
    class Prompted(word_counts):
        def get_side_fn(self):
            return lambda text, side: text if side == "query" else "b b b " + text

    encoder = Prompted()
    source = BatchSource(SimilarityModel(encoder, EmptyHead(4)), CacheConfig(batch_size=2), torch.device("cpu"))
    loader = PairsSimilarityDataLoader([SimilarityPairSample("a", "c"), SimilarityPairSample("d d", "b")], batch_size=2)
    list(source.batches(loader, source.read(loader)))
    assert [set(batch) for batch in encoder.batches] == [{"b b b c", "b b b b"}, {"d d", "a"}]
    assert sorted(encoder.counted) == ["a", "b b b b", "b b b c", "d d"]


def test_a_batch_size_found_by_trial_counts_nothing_twice(read_batches, word_counts):
    encoder = word_counts()
    read_batches(TEXTS, CacheConfig(batch_size="auto"), encoder=encoder)
    assert sorted(encoder.counted) == sorted(set(TEXTS))


@pytest.mark.parametrize("workers", [0, 2])
def test_a_wrong_number_of_counts_is_named(read_batches, word_counts, workers):
    class One(word_counts):
        def lengths(self, objects):
            return [1]

    with pytest.raises(ValueError, match=r"One\.lengths gave 1 numbers for 6 objects, expected one each"):
        read_batches(TEXTS, CacheConfig(num_workers=workers), encoder=One())


@pytest.mark.parametrize("workers", [0, 2])
def test_workers_count_as_well(read_batches, word_counts, workers):
    encoder = word_counts()
    read_batches(TEXTS, CacheConfig(batch_size=2, num_workers=workers), encoder=encoder)
    assert [{len(text.split()) for text in batch} for batch in encoder.batches] == [{5, 4}, {3, 2}, {1}]
