"""Models that are evaluated, and embeddings from vectors that their encoders gave once."""

from pathlib import Path

import pytest
import torch

from quaterion.cli.evaluate_models import EmbeddedModel, embedded_model, load_model, untrained
from quaterion.dataset.files import read_samples
from quaterion_models import SimilarityModel
from quaterion_models.encoders import SentenceTransformerEncoder
from quaterion_models.heads import EmptyHead, SwitchHead, WideningHead

TEXTS = ["a cat", "a much longer text about two cats and a dog", "rain"]


@pytest.fixture
def model(minilm_folder: Path) -> SimilarityModel:
    encoder = SentenceTransformerEncoder(str(minilm_folder))
    size = encoder.embedding_size
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        options = {"query": WideningHead(size), "document": WideningHead(size)}
        return SimilarityModel(encoder, SwitchHead(options, size)).eval()


def test_embeddings_are_the_models_own_on_both_sides(model: SimilarityModel) -> None:
    samples = read_samples([{"anchor": text, "positive": text, "negative": "snow"} for text in TEXTS])
    embedded = embedded_model(model, samples, cache=None)
    assert isinstance(embedded, EmbeddedModel) and embedded.two_sided
    objects = [*TEXTS, "snow"]
    for encode in ("encode_query", "encode_document"):
        found = getattr(embedded, encode)(objects, batch_size=3, to_numpy=False)
        assert torch.allclose(found, getattr(model, encode)(objects, to_numpy=False), atol=1e-5)
    assert not torch.allclose(*(getattr(embedded, name)(objects, 4, False) for name in ("encode_query", encode)))
    assert embedded.encode_query(objects).shape == (4, model.output_size)


def test_a_model_with_a_trained_encoder_stays_itself(minilm_folder: Path) -> None:
    encoder = SentenceTransformerEncoder(str(minilm_folder), trainable=True)
    model = SimilarityModel(encoder, EmptyHead(encoder.embedding_size))
    assert embedded_model(model, read_samples([{"text": "one", "group": 1}]), cache=None) is model


def test_the_untrained_model_is_the_encoder_without_the_head(model: SimilarityModel, minilm_folder: Path) -> None:
    alone = load_model(str(minilm_folder))
    assert torch.equal(untrained(model).encode(TEXTS, to_numpy=False), alone.encode(TEXTS, to_numpy=False))


def test_a_saved_model_is_loaded_with_its_head(model: SimilarityModel, tmp_path: Path) -> None:
    model.save(tmp_path / "model")
    loaded = load_model(str(tmp_path / "model"))
    assert torch.equal(loaded.encode(TEXTS, to_numpy=False), model.encode(TEXTS, to_numpy=False))


def test_what_is_neither_a_folder_nor_a_known_name_is_refused() -> None:
    with pytest.raises(ValueError, match="Cannot load 'no-model', neither as a folder that SimilarityModel.save wrote"):
        load_model("no-model")
