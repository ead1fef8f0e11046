"""Labels of several losses with class weights: own numbers for own data sets, shared ones for shared data."""

import pytest
import torch

from quaterion import Quaterion
from quaterion.dataset import (
    GroupSimilarityDataLoader,
    MultiSimilarityDataLoader,
    PairsSimilarityDataLoader,
    SimilarityGroupSample,
    group_ids,
)
from quaterion.loss import ArcFaceLoss, CombinedLoss, MultipleNegativesRankingLoss, SoftmaxLoss
from quaterion.train.cache import CacheConfig
from quaterion.train.label_indexes import DataSetLabels, LabelIndexes
from quaterion_models import SimilarityModel

CORNERS = [(1.0, 0, 0, 0), (0, 1.0, 0, 0), (0, 0, 1.0, 0)]


def loader_of(*groups, **arguments):
    data = [SimilarityGroupSample(CORNERS[i % 3], group) for i, group in enumerate(groups)]
    return GroupSimilarityDataLoader(data, **{"batch_size": 6} | arguments)


def two_sets():
    return MultiSimilarityDataLoader({"news": loader_of("x", "y", "z"), "e.mail": loader_of("s", "t", "s", "t")})


def two_losses():
    return CombinedLoss({"news": (SoftmaxLoss(8, 3), 1.0), "e.mail": (ArcFaceLoss(8, 2), 1.0)})


def quiet(model):
    model.process_results = lambda **_: None
    return model


def labels_of(source, *labels):
    ids = group_ids(labels)
    return DataSetLabels(source, ids, dict(zip(ids.tolist(), labels, strict=True)))


def test_losses_that_share_the_data_share_the_numbers_of_the_smallest():
    indexes = LabelIndexes(CombinedLoss({"a": (SoftmaxLoss(8, 4), 1.0), "b": (ArcFaceLoss(8, 2), 1.0)}))
    indexes.learn(labels_of(None, 3, 1))  # 3 is no class of two, so both losses number the labels
    assert indexes.of(None) is indexes.of("b")
    assert indexes.of("a").labels == [1, 3, None, None] and indexes.of("b").labels == [1, 3]
    assert indexes.of("a")(torch.tensor([3, 1])).tolist() == indexes.of("b")(torch.tensor([3, 1])).tolist() == [1, 0]
    with pytest.raises(ValueError, match="num_groups=2 and 0 of them are free"):
        indexes.learn(labels_of(None, 5))


def test_a_loss_without_class_weights_has_no_index():
    indexes = LabelIndexes(CombinedLoss({"a": (SoftmaxLoss(8, 4), 1.0), "b": (MultipleNegativesRankingLoss(), 1.0)}))
    assert indexes.of("b") is None and indexes.of("a") is indexes.of(None)
    assert LabelIndexes(MultipleNegativesRankingLoss()).of(None) is None
    indexes.learn(labels_of("b", "one"))
    assert indexes.of("a").labels == [None] * 4


@pytest.mark.parametrize("caches", [None, CacheConfig()])
def test_each_data_set_with_a_loss_of_its_own_numbers_its_labels(
    model_type, encoder_type, make_trainer, tmp_path, caches
):
    model = quiet(model_type(loss=two_losses(), caches=caches, lr=0.05))
    trainer = make_trainer(max_epochs=60)
    Quaterion.fit(model, trainer, two_sets(), {"e.mail": loader_of("t", "s")})
    assert model.label_indexes.of("news").labels == ["x", "y", "z"]
    assert model.label_indexes.of("e.mail").labels == ["s", "t"]
    assert trainer.callback_metrics["validation_loss_e.mail"] > 0
    model.save_servable(tmp_path / "model")
    loaded = SimilarityModel.load(tmp_path / "model", classes=[encoder_type])
    assert loaded.labels == ["x", "y", "z"]
    assert [found.label for found in loaded.classify(CORNERS)] == ["x", "y", "z"]


def test_all_indexes_are_in_a_checkpoint(model_type, make_trainer, tmp_path):
    model, trainer = quiet(model_type(loss=two_losses())), make_trainer(max_epochs=1)
    Quaterion.fit(model, trainer, two_sets())
    trainer.save_checkpoint(tmp_path / "c.ckpt")
    fresh = model_type(loss=two_losses())
    fresh.load_state_dict(torch.load(tmp_path / "c.ckpt")["state_dict"])
    assert fresh.label_indexes.of("news").labels == ["x", "y", "z"]
    assert fresh.label_indexes.of("e.mail")(group_ids(["t", "s"])).tolist() == [1, 0]


def test_one_data_set_trains_losses_with_weights_for_different_numbers_of_groups(
    model_type, encoder_type, make_trainer, tmp_path
):
    loss = CombinedLoss({"wide": (SoftmaxLoss(8, 5), 1.0), "tight": (ArcFaceLoss(8, 3), 1.0)})
    model = quiet(model_type(loss=loss, lr=0.05))
    Quaterion.fit(model, make_trainer(max_epochs=60), loader_of("x", "y", "z"))
    assert model.label_index.labels == ["x", "y", "z"]
    model.save_servable(tmp_path / "model")
    loaded = SimilarityModel.load(tmp_path / "model", classes=[encoder_type])
    assert [found.label for found in loaded.classify(CORNERS)] == ["x", "y", "z"]
    small = CombinedLoss({"wide": (SoftmaxLoss(8, 5), 1.0), "tight": (ArcFaceLoss(8, 2), 1.0)})
    with pytest.raises(ValueError, match="has 3 groups, 3 of them new, .* num_groups=2"):
        Quaterion.fit(model_type(loss=small), make_trainer(max_epochs=1), loader_of("x", "y", "z"))


def test_a_data_set_of_pairs_beside_class_weights_needs_no_labels(model_type, pair_data, make_trainer):
    loss = CombinedLoss({"news": (SoftmaxLoss(8, 3), 1.0), "pairs": (MultipleNegativesRankingLoss(), 1.0)})
    model = quiet(model_type(loss=loss))
    loaders = {"news": loader_of("x", "y", "z"), "pairs": PairsSimilarityDataLoader(pair_data, batch_size=20)}
    Quaterion.fit(model, make_trainer(max_epochs=1), MultiSimilarityDataLoader(loaders))
    assert model.label_index.labels == ["x", "y", "z"]


def test_a_resumed_training_learns_the_labels_that_its_checkpoint_lacks(model_type, make_trainer, tmp_path):
    first, trainer = quiet(model_type(loss=SoftmaxLoss(8, 4))), make_trainer(max_epochs=1)
    Quaterion.fit(first, trainer, loader_of("b", "c", "b"))
    trainer.save_checkpoint(tmp_path / "c.ckpt")
    second = quiet(model_type(loss=SoftmaxLoss(8, 4)))
    # On its own the second training would have numbered them a, b, c.
    Quaterion.fit(second, make_trainer(max_epochs=2), loader_of("a", "b", "c"), ckpt_path=tmp_path / "c.ckpt")
    assert second.label_index.labels == ["b", "c", "a", None]
    assert second.label_index(group_ids(["a", "b", "c"])).tolist() == [2, 0, 1]


def test_labels_of_a_checkpoint_keep_their_types(model_type, make_trainer, tmp_path):
    labels = [("k", 1), ("k", (2, "l")), ("m", 0.5)]
    first, trainer = quiet(model_type(loss=SoftmaxLoss(8, 3))), make_trainer(max_epochs=1)
    Quaterion.fit(first, trainer, loader_of(*labels))
    trainer.save_checkpoint(tmp_path / "c.ckpt")
    fresh = model_type(loss=SoftmaxLoss(8, 3))
    fresh.load_state_dict(torch.load(tmp_path / "c.ckpt")["state_dict"])
    assert set(fresh.label_index.labels) == set(labels)
    resumed = quiet(model_type(loss=SoftmaxLoss(8, 3)))
    Quaterion.fit(resumed, make_trainer(max_epochs=2), loader_of(*labels), ckpt_path=tmp_path / "c.ckpt")
    assert resumed.label_index.labels == first.label_index.labels
