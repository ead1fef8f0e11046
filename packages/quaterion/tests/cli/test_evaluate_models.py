"""Models that are evaluated, loaded by folder or name."""

from pathlib import Path

import pytest
import torch

from quaterion.cli.evaluate_models import load_model, load_models
from quaterion_models import SimilarityModel
from quaterion_models.encoders import SentenceTransformerEncoder
from quaterion_models.heads import WideningHead

TEXTS = ["a cat", "a much longer text about two cats and a dog", "rain"]


@pytest.fixture
def saved(minilm_folder: Path, tmp_path: Path) -> tuple[SimilarityModel, str]:
    encoder = SentenceTransformerEncoder(str(minilm_folder))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = SimilarityModel(encoder, WideningHead(encoder.embedding_size)).eval()
    model.save(tmp_path / "model")
    return model, str(tmp_path / "model")


def test_a_saved_model_is_loaded_with_its_head(saved: tuple[SimilarityModel, str]) -> None:
    model, folder = saved
    loaded, before = load_models(folder, None)
    assert before is None
    assert torch.equal(loaded.encode(TEXTS, to_numpy=False), model.encode(TEXTS, to_numpy=False))


def test_before_is_the_encoder_without_the_head_or_another_model(
    saved: tuple[SimilarityModel, str], minilm_folder: Path
) -> None:
    alone = load_model(str(minilm_folder)).encode(TEXTS, to_numpy=False)
    for name in ("encoder", str(minilm_folder)):
        model, before = load_models(saved[1], name)
        assert before is not None
        assert torch.equal(before.encode(TEXTS, to_numpy=False), alone)
        assert not torch.equal(model.encode(TEXTS, to_numpy=False), alone)


def test_what_is_neither_a_folder_nor_a_known_name_is_refused() -> None:
    with pytest.raises(ValueError, match="Cannot load 'no-model', neither as a folder that SimilarityModel.save wrote"):
        load_model("no-model")
