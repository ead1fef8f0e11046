"""Objects that an encoder prepares for their side have keys and vectors of their side, views and key extractors too."""

import pytest
import torch

from quaterion.cache import CacheConfig
from quaterion.cache.prepare import BatchSource
from quaterion.dataset import PairsSimilarityDataLoader, SimilarityPairSample
from quaterion_models import SimilarityModel
from quaterion_models.heads import EmptyHead

SAMPLES = [SimilarityPairSample("a", "b", negatives=["c"]), SimilarityPairSample("b", "a")]
# Queries, then documents, then negatives; one more "d" before each document.
PREPARED = ["a", "b", "db", "da", "dc"]


def prompted(text, side):
    return text if side == "query" else "d" + text


def vectors(encoder, config):
    source = BatchSource(SimilarityModel(encoder, EmptyHead(4)), config, torch.device("cpu"))
    loader = PairsSimilarityDataLoader(SAMPLES, batch_size=2)
    (batch,) = source.batches(loader, source.read(loader))
    return batch.features.cached["default"]


@pytest.fixture
def sided(letter_counts):
    class Sided(letter_counts):
        def get_side_fn(self):
            return prompted

    return Sided()


@pytest.mark.parametrize("views", [1, 2])
def test_views_are_those_of_the_side(sided, views):
    expected = torch.tensor([[text.count(letter) for letter in "abcd"] for text in PREPARED]).float()
    assert torch.equal(vectors(sided, CacheConfig(views=views)), expected)


def test_a_key_extractor_sees_objects_as_they_are_and_an_object_has_a_vector_for_each_side(sided):
    seen = set()

    def identity(text):
        seen.add(text)
        return text

    expected = torch.tensor([[text.count(letter) for letter in "abcd"] for text in PREPARED]).float()
    assert torch.equal(vectors(sided, CacheConfig(key_extractors=identity)), expected)
    assert seen == {"a", "b", "c"}
