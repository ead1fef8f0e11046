"""Class weights classify as the arithmetic says, and are saved with the model."""

import json

import pytest
import torch

from quaterion_models import Encoder, SimilarityModel
from quaterion_models.class_weights import ClassWeights
from quaterion_models.heads import EmptyHead
from quaterion_models.saving.files import ModelFolderError


class Pairs(Encoder):
    trainable = False
    embedding_size = 2

    def get_collate_fn(self):
        return torch.tensor

    def forward(self, batch):
        return batch.float()


def model_with(classes):
    model = SimilarityModel(Pairs(), EmptyHead(2))
    model.class_weights = classes
    return model


def test_the_nearest_of_several_vectors_of_a_class_counts_and_unused_classes_never_win():
    weights = torch.tensor([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0], [-1.0, 0.0], [0.6, 0.8], [0.6, 0.8]])
    classes = ClassWeights(["right or up", "left", None], weights)
    found = classes.classify(torch.tensor([[0.0, 5.0], [-2.0, 0.0], [0.6, 0.8]]))
    assert [one.label for one in found] == ["right or up", "left", "right or up"]
    assert [one.similarity for one in found] == pytest.approx([1.0, 1.0, 0.8])


def test_a_dot_product_counts_lengths():
    weights = torch.tensor([[1.0, 0.0], [0.0, 9.0]])
    assert ClassWeights(["a", "b"], weights).classify(torch.tensor([[2.0, 1.0]]))[0] == (
        "a",
        pytest.approx(4 / 20**0.5),
    )
    assert ClassWeights(["a", "b"], weights, cosine=False).classify(torch.tensor([[2.0, 1.0]]))[0] == ("b", 9.0)


def test_a_saved_model_classifies_alike(tmp_path):
    model = model_with(ClassWeights([3, "b", None], torch.randn(6, 2), cosine=False))
    objects = torch.randn(9, 2).tolist()
    before = model.classify(objects)
    for _ in range(2):
        model.save(tmp_path / "m")
    loaded = SimilarityModel.load(tmp_path / "m", classes=[Pairs])
    assert loaded.classify(objects) == before
    assert loaded.class_weights.labels == [3, "b", None]


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (["a"], "classes must be a dict"),
        ({"labels": ["a"] * 4, "cosine": True}, "same number of rows for each of the 4 labels"),
        ({"labels": [], "cosine": True}, "for each of the 0 labels"),
        ({"cosine": True}, "labels"),
        ({"labels": ["a", "b", "c"], "cosine": 1}, "cosine"),
    ],
)
def test_damaged_classes_are_refused(tmp_path, spec, message):
    model_with(ClassWeights([1, 2, 3], torch.randn(3, 2))).save(tmp_path / "m")
    config = tmp_path / "m" / "config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"classes": spec}))
    with pytest.raises(ModelFolderError, match=message):
        SimilarityModel.load(tmp_path / "m", classes=[Pairs])
    (tmp_path / "m" / "classes.safetensors").unlink()
    with pytest.raises(ModelFolderError):
        SimilarityModel.load(tmp_path / "m", classes=[Pairs])


def test_a_model_without_class_weights_says_how_to_get_some():
    with pytest.raises(ValueError, match="no class weights to classify with: train it with SoftmaxLoss"):
        model_with(None).classify([[1.0, 2.0]])
