"""Embeddings from vectors that the encoders gave once."""

from contextlib import nullcontext
from pathlib import Path

import pytest
import torch

from quaterion.dataset import SimilarityGroupSample
from quaterion.dataset.files import read_samples
from quaterion.eval.embedded_model import EmbeddedModel, embedded_model, without_head
from quaterion_models import SimilarityModel
from quaterion_models.encoders import Encoder, SentenceTransformerEncoder
from quaterion_models.heads import EmptyHead, SkipConnectionHead, SwitchHead, WideningHead

TEXTS = ["a cat", "a much longer text about two cats and a dog", "rain"]


@pytest.fixture
def model(minilm_folder: Path) -> SimilarityModel:
    encoder = SentenceTransformerEncoder(str(minilm_folder))
    size = encoder.embedding_size
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        options = {"query": WideningHead(size), "document": WideningHead(size)}
        return SimilarityModel(encoder, SwitchHead(options, size)).eval()


class Lengths(Encoder):
    """The length of a text; with `prompted`, of the text and its side."""

    trainable = False
    embedding_size = 1

    def __init__(self, prompted: bool) -> None:
        super().__init__()
        self.prompted = prompted
        self.encoded: list[float] = []

    def fingerprint(self):
        return f"lengths, {self.prompted}"  # what was encoded is no part of it

    def get_side_fn(self):
        return (lambda text, side: f"{side}{text}") if self.prompted else None

    def get_collate_fn(self):
        return lambda texts: torch.tensor([[float(len(text))] for text in texts])

    def forward(self, batch):
        self.encoded += batch.flatten().tolist()
        return batch


def test_embeddings_are_the_models_own_on_both_sides(model: SimilarityModel) -> None:
    samples = read_samples([{"anchor": text, "positive": text, "negative": "snow"} for text in TEXTS])
    embedded = embedded_model(model, samples)
    assert isinstance(embedded, EmbeddedModel) and embedded.two_sided and embedded.head is model.head
    objects = [*TEXTS, "snow"]
    for encode in ("encode_query", "encode_document"):
        found = getattr(embedded, encode)(objects, batch_size=3, to_numpy=False)
        assert torch.allclose(found, getattr(model, encode)(objects, to_numpy=False), atol=1e-5)
    assert not torch.allclose(*(getattr(embedded, name)(objects, 4, False) for name in ("encode_query", encode)))
    assert embedded.encode_query(objects).shape == (4, model.output_size)
    assert (embedded.encode(objects) == embedded.encode_query(objects)).all()


def test_dropout_is_off_and_stays_on_for_a_training_that_goes_on() -> None:
    model = SimilarityModel(Lengths(prompted=False), SkipConnectionHead(1, dropout=0.5, skip_dropout=0.5)).train()
    texts = ["a" * length for length in range(1, 40)]
    embedded = embedded_model(model, [SimilarityGroupSample(text, 0) for text in texts])
    found = embedded.encode(texts, to_numpy=False)
    assert torch.equal(found, model.encode(texts, to_numpy=False))
    assert model.required_head().training


def test_an_encoder_that_prepares_the_sides_differently_gives_each_side_its_own() -> None:
    model = SimilarityModel(Lengths(prompted=True), EmptyHead(1))
    embedded = embedded_model(model, read_samples([{"anchor": "ab", "positive": "abc"}]))
    assert embedded.encode_query(["ab"]).item() == len("queryab")
    assert embedded.encode_document(["abc"]).item() == len("documentabc")


def test_a_plain_list_of_samples_is_encoded_once_for_models_that_share_their_stores(tmp_path: Path) -> None:
    encoder = Lengths(prompted=False)
    model, stores = SimilarityModel(encoder, EmptyHead(1)), {}
    samples = [SimilarityGroupSample(text, 1) for text in TEXTS]
    bars: list[tuple[str, int]] = []

    def progress(description, total):
        bars.append((description, total))
        return nullcontext(lambda count: None)

    first = embedded_model(model, samples, cache=tmp_path, stores=stores, progress=progress)
    second = embedded_model(without_head(model), samples, cache=tmp_path, stores=stores)
    assert first.encode_query(TEXTS).tolist() == second.encode_query(TEXTS).tolist() == [[5.0], [43.0], [4.0]]
    assert sorted(encoder.encoded) == [4.0, 5.0, 43.0]
    assert [total for _, total in bars] == [3]


def test_a_model_with_a_trained_encoder_stays_itself(minilm_folder: Path) -> None:
    encoder = SentenceTransformerEncoder(str(minilm_folder), trainable=True)
    model = SimilarityModel(encoder, EmptyHead(encoder.embedding_size))
    assert embedded_model(model, read_samples([{"text": "one", "group": 1}])) is model
