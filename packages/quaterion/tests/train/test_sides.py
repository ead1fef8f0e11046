"""Encoders that prepare queries and documents differently: the same vectors on every path."""

import hashlib

import pytest
import torch

from quaterion import Quaterion
from quaterion.cache import EmbeddingStore
from quaterion.dataset import (
    GroupSimilarityDataLoader,
    PairsSimilarityDataLoader,
    SimilarityGroupSample,
    SimilarityPairSample,
)
from quaterion.loss import GuidedNegatives, MultipleNegativesRankingLoss, TripletLoss
from quaterion.train.cache import CacheConfig
from quaterion_models.encoders import Encoder
from quaterion_models.heads import SkipConnectionHead

SIZE = 8


def prompted(text, side):
    return f"{side}: {text}"


def vector_of(text):
    digest = hashlib.sha256(text.encode()).digest()
    return torch.tensor([byte / 256 for byte in digest[:SIZE]])


def collate(texts):
    return torch.stack([vector_of(text) for text in texts])


class Prompted(Encoder):
    """A vector for each text, another for each side."""

    embedding_size = SIZE

    def __init__(self, trainable=False):
        super().__init__()
        self._trainable = trainable
        self.scale = torch.nn.Parameter(torch.ones(SIZE))
        self.seen = []

    @property
    def trainable(self):
        return self._trainable

    def get_collate_fn(self):
        return collate

    def get_side_fn(self):
        return prompted

    def fingerprint(self):
        return "prompted"

    def forward(self, batch):
        self.seen.append(len(batch))
        return batch * self.scale


# "same" stands on both sides: its two vectors must not be mixed up.
PAIRS = [
    SimilarityPairSample("same", "answer"),
    SimilarityPairSample("question", "same", negatives=("far", "same too")),
    SimilarityPairSample("another", "reply"),
]
QUERIES = {prompted(sample.obj_a, "query") for sample in PAIRS}
DOCUMENTS = {prompted(obj, "document") for sample in PAIRS for obj in (sample.obj_b, *sample.negatives)}


def losses_of(model_type, make_trainer, loader, encoder, loss, caches):
    torch.manual_seed(0)
    model = model_type(encoders=encoder, head=SkipConnectionHead, loss=loss, caches=caches)
    torch.manual_seed(1)
    Quaterion.fit(model, make_trainer(max_epochs=3), loader)
    return model, [value for _, value in model.steps]


@pytest.mark.parametrize("stream", [False, True], ids=["map-style", "stream"])
def test_a_cached_encoder_gives_each_side_its_own_vector(model_type, make_trainer, tmp_path, stream):
    class Stream(torch.utils.data.IterableDataset):
        def __iter__(self):
            return iter(PAIRS)

        def __len__(self):
            return len(PAIRS)

    data = Stream() if stream else PAIRS
    folder = tmp_path / "cache"
    runs = []
    for caches in (None, CacheConfig(save_dir=folder)):
        encoder = Prompted()
        loader = PairsSimilarityDataLoader(data, batch_size=2)
        _, losses = losses_of(model_type, make_trainer, loader, encoder, MultipleNegativesRankingLoss(), caches)
        runs.append(losses)
    assert runs[1] == pytest.approx(runs[0], rel=1e-6)
    assert sum(encoder.seen) == len(QUERIES | DOCUMENTS)  # each of them once

    (store,) = (EmbeddingStore.open(path) for path in folder.iterdir() if (path / "manifest.json").exists())
    for text in QUERIES | DOCUMENTS:
        torch.testing.assert_close(store.vectors_of([text])[0], vector_of(text))


def test_a_key_of_the_users_own_gets_the_side(model_type, make_trainer):
    runs = []
    for caches in (None, CacheConfig(key_extractors={"default": lambda text: text})):
        loader = PairsSimilarityDataLoader(PAIRS, batch_size=3)
        _, losses = losses_of(model_type, make_trainer, loader, Prompted(), MultipleNegativesRankingLoss(), caches)
        runs.append(losses)
    assert runs[1] == pytest.approx(runs[0], rel=1e-6)


def test_beside_an_encoder_that_is_trained_the_cached_one_gives_each_side_its_own_vector(model_type, make_trainer):
    runs = []
    for caches in (None, CacheConfig()):
        loader = PairsSimilarityDataLoader(PAIRS, batch_size=2)
        encoders = {"frozen": Prompted(), "trained": Prompted(trainable=True)}
        _, losses = losses_of(model_type, make_trainer, loader, encoders, MultipleNegativesRankingLoss(), caches)
        runs.append(losses)
    assert runs[1] == pytest.approx(runs[0], rel=1e-6)


def test_objects_of_groups_are_queries(model_type, make_trainer):
    samples = [SimilarityGroupSample(text, number % 2) for number, text in enumerate(["a", "b", "a too", "b too"])]
    seen = []
    for caches in (None, CacheConfig()):
        model, losses = losses_of(
            model_type,
            make_trainer,
            GroupSimilarityDataLoader(samples, batch_size=4),
            Prompted(),
            TripletLoss(),
            caches,
        )
        seen.append(losses)
    assert seen[1] == pytest.approx(seen[0], rel=1e-6)
    torch.testing.assert_close(
        model.model.encode(["a"], to_numpy=False),
        model.model.head(vector_of("query: a")[None]).detach(),
    )


def test_encode_takes_the_side_it_is_named_after(model_type):
    model = model_type(encoders=Prompted(), head=SkipConnectionHead, loss=MultipleNegativesRankingLoss()).model
    assert model.two_sided
    with torch.no_grad():
        for encode, side in ((model.encode, "query"), (model.encode_query, "query"),
                             (model.encode_document, "document")):  # fmt: skip
            expected = model.head.eval()(vector_of(prompted("text", side))[None])
            torch.testing.assert_close(encode("text", to_numpy=False), expected)


def test_a_guide_that_prepares_sides_differently_is_refused(model_type, make_trainer):
    loss = GuidedNegatives(MultipleNegativesRankingLoss(), Prompted())
    model = model_type(encoders=Prompted(), head=SkipConnectionHead, loss=loss, caches=CacheConfig())
    with pytest.raises(TypeError, match="guide is a Prompted, which prepares queries and documents differently"):
        Quaterion.fit(model, make_trainer(max_epochs=1), PairsSimilarityDataLoader(PAIRS[:1] * 2, batch_size=2))
