"""What `tune` takes for an encoder."""

import pytest

from quaterion.tuning.training.encoders import DEFAULT_ENCODER, encoder_choices
from quaterion_models import SimilarityModel
from quaterion_models.encoders import VectorEncoder
from quaterion_models.heads import EmptyHead


def test_the_default_encoder_is_none_of_images():
    with pytest.raises(ValueError, match=r"the default encoder is one of texts\. Name an encoder of images"):
        encoder_choices(DEFAULT_ENCODER, images=True)


def test_the_encoders_of_a_saved_model_are_taken(tmp_path):
    encoders = {"one": VectorEncoder(3), "two": VectorEncoder(4)}
    SimilarityModel(encoders, EmptyHead(7)).save(tmp_path / "model")
    (choice,) = encoder_choices(tmp_path / "model", images=False)
    assert {name: one.embedding_size for name, one in choice.encoders.items()} == {"one": 3, "two": 4}
    assert choice.source == (str(tmp_path / "model"),)


def test_several_are_joined_after_each_alone(tmp_path):
    SimilarityModel({"one": VectorEncoder(3), "two": VectorEncoder(4)}, EmptyHead(7)).save(tmp_path / "model")
    SimilarityModel(VectorEncoder(5), EmptyHead(5)).save(tmp_path / "other")
    choices = encoder_choices([tmp_path / "model", tmp_path / "other"], images=False)
    assert [choice.name for choice in choices] == ["model", "other", "model + other"]
    assert list(choices[-1].encoders) == ["model/one", "model/two", "other"]
    assert choices[-1].source == (str(tmp_path / "model"), str(tmp_path / "other"))
