"""Whether a folder still holds the same model."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from quaterion_models import SimilarityModel
from quaterion_models.class_weights import ClassWeights
from quaterion_models.predict.model_files import model_digest, number
from quaterion_models.saving.files import ModelFolderError

Make = Callable[..., SimilarityModel]


def test_the_digest_tells_models_apart_and_not_their_cards(vector_model: Make, tmp_path: Path) -> None:
    def digest(model: SimilarityModel, card: str = "a card") -> str:
        model.save(tmp_path / "model", card=card)
        return model_digest(tmp_path / "model")

    model = vector_model(2)
    first = digest(model)
    assert digest(vector_model(2), "another card") == first
    assert digest(vector_model(2, seed=1)) != first  # other weights in the head
    assert digest(vector_model(3)) != first  # another encoder
    model.class_weights = ClassWeights(["a"], torch.ones(1, 2))
    assert digest(model) != first


def test_a_link_out_of_the_folder_is_not_followed(vector_model: Make, tmp_path: Path) -> None:
    vector_model().save(tmp_path / "model")
    (tmp_path / "model" / "encoders" / "link").symlink_to(tmp_path)
    with pytest.raises(ModelFolderError, match="leads out of the model folder"):
        model_digest(tmp_path / "model")


def test_a_number_must_be_one() -> None:
    assert number({"a": 1}, "a", Path("file.json")) == 1.0
    with pytest.raises(ModelFolderError, match=r"file.json: 'a' must be int or float, it is 'x'"):
        number({"a": "x"}, "a", Path("file.json"))
