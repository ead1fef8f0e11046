"""Losses with class weights: any label, labels that only validation has, and their optimizer."""

import pytest
import torch
from pytorch_metric_learning import losses

from quaterion import Quaterion
from quaterion.dataset import GroupSimilarityDataLoader, LabelIndex, SimilarityGroupSample, group_ids
from quaterion.loss import ArcFaceLoss, CenterLoss, CombinedLoss, MatryoshkaLoss, SoftmaxLoss, TripletLoss
from quaterion.loss.extras import PytorchMetricLearningWrapper
from quaterion.train.cache import CacheConfig
from quaterion.train.class_weights import trained_class_weights
from quaterion.train.label_indexes import LabelIndexes
from quaterion_models import SimilarityModel


def loader_of(*groups, **arguments):
    data = [SimilarityGroupSample((float(i), 1.0, 0.0, -1.0), group) for i, group in enumerate(groups)]
    return GroupSimilarityDataLoader(data, **{"batch_size": 8} | arguments)


def learned(labels, num_groups):
    index = LabelIndex(num_groups)
    ids = group_ids(labels)
    index.learn(ids, dict(zip(ids.tolist(), labels, strict=True)))
    return index


def test_labels_are_numbered_in_their_order_and_ints_in_range_keep_their_values():
    assert learned(["b", "a", "c", "a"], 3)(group_ids(["a", "b", "c"])).tolist() == [0, 1, 2]
    assert learned([2, 0, 2], 3)(torch.tensor([2, 0])).tolist() == [2, 0]
    assert learned([7, -5, 7], 3)(torch.tensor([7, -5])).tolist() == [1, 0]
    assert learned([("x", 1), "y"], 4).labels.count(None) == 2


def test_unknown_labels_are_negative_and_still_told_apart():
    new = learned(["a", "b"], 2)(group_ids(["c", "a", "d", "c"])).tolist()
    assert new[1] == 0 and new[0] == new[3] < 0 > new[2] != new[0]


def test_later_labels_take_the_free_rows_and_too_many_are_refused():
    index = learned(["m", "k"], 3)
    more = ["a", "k"]
    index.learn(group_ids(more), dict(zip(group_ids(more).tolist(), more, strict=True)))
    assert index.labels == ["k", "m", "a"]
    assert index(group_ids(["k", "m", "a"])).tolist() == [0, 1, 2]
    with pytest.raises(ValueError, match=r"2 of them new.*num_groups=3 and 0 of them are free.*num_groups=5 or more"):
        index.learn(group_ids(["x", "y"]), {})


def test_the_index_is_restored_with_its_labels():
    index, other = learned(["b", "a"], 4), LabelIndex(4)
    other.load_state_dict(index.state_dict())
    assert other.labels == ["a", "b", None, None]
    assert other(group_ids(["b"])).tolist() == [1]


@pytest.mark.parametrize("caches", [None, CacheConfig()])
def test_a_loss_with_class_weights_trains_on_any_labels_and_skips_those_only_validation_has(
    model_type, make_trainer, caplog, caches
):
    loss = ArcFaceLoss(embedding_size=8, num_groups=2)
    model = model_type(loss=loss, caches=caches)
    model.process_results = lambda **_: None
    before = loss.weight.clone()
    trainer = make_trainer(max_epochs=2)
    Quaterion.fit(model, trainer, loader_of("x", "y", "x", "y"), loader_of("x", "new", "z"))
    assert model.label_index.labels == ["x", "y"]
    assert not torch.equal(loss.weight, before)
    assert "2 of 3 validation objects are of groups that training never saw: ArcFaceLoss skips them" in caplog.text
    vector = torch.from_numpy(model.model.encode([(0.0, 1.0, 0.0, -1.0)]))
    assert float(trainer.callback_metrics["validation_loss"]) == pytest.approx(
        float(loss(vector, torch.tensor([0])).detach()), rel=1e-4
    )


@pytest.mark.parametrize(
    "make",
    [
        lambda: ArcFaceLoss(8, 3, sub_centers=2),
        lambda: CombinedLoss({"a": (SoftmaxLoss(8, 3), 1.0)}),
        lambda: PytorchMetricLearningWrapper(losses.ArcFaceLoss(3, 8)),
        lambda: PytorchMetricLearningWrapper(
            losses.MultipleLosses([losses.ContrastiveLoss(), losses.NormalizedSoftmaxLoss(3, 8)])
        ),
    ],
)
def test_the_servable_model_classifies_by_the_trained_weights(model_type, encoder_type, make_trainer, tmp_path, make):
    model = model_type(loss=make(), caches=CacheConfig(), lr=0.05)
    model.process_results = lambda **_: None
    corners = {"x": (1.0, 0, 0, 0), "y": (0, 1.0, 0, 0), "z": (0, 0, 1.0, 0)}
    data = [SimilarityGroupSample(obj, label) for label, obj in corners.items() for _ in range(2)]
    Quaterion.fit(model, make_trainer(max_epochs=60), GroupSimilarityDataLoader(data, batch_size=6))
    model.save_servable(tmp_path / "model")
    loaded = SimilarityModel.load(tmp_path / "model", classes=[encoder_type])
    assert loaded.labels == ["x", "y", "z"]
    assert [found.label for found in loaded.classify(list(corners.values()))] == list(corners)


@pytest.mark.parametrize(
    ("parts", "chosen"),
    [
        ({"center": (CenterLoss(4, 2), 9.0), "softmax": (SoftmaxLoss(4, 2), 0.1)}, "softmax"),
        ({"near": (SoftmaxLoss(4, 2), 0.4), "far": (ArcFaceLoss(4, 2), 0.5)}, "far"),
        ({"triplet": (TripletLoss(), 2.0), "center": (CenterLoss(4, 2), 0.5)}, "center"),
    ],
)
def test_of_several_losses_that_with_the_largest_weight_classifies_and_centres_come_last(parts, chosen):
    loss = CombinedLoss(parts)
    classes = trained_class_weights(loss, LabelIndexes(loss))
    assert torch.equal(classes.weights, parts[chosen][0].weight)
    nested = CombinedLoss({"all": (MatryoshkaLoss(loss, [4, 2]), 1.0)})
    assert torch.equal(trained_class_weights(nested, LabelIndexes(nested)).weights, classes.weights)
    pairs = CombinedLoss({"triplet": (TripletLoss(), 1.0)})
    assert trained_class_weights(pairs, LabelIndexes(pairs)) is None


def test_more_groups_than_class_weights_are_refused_before_training(model_type, make_trainer):
    model = model_type(loss=SoftmaxLoss(embedding_size=8, num_groups=2))
    with pytest.raises(ValueError, match="has 3 groups, 3 of them new, .* num_groups=2"):
        Quaterion.fit(model, make_trainer(max_epochs=1), loader_of("a", "b", "c", "a"))


def test_class_weights_need_no_two_objects_of_a_group(model_type, make_trainer):
    model = model_type(loss=SoftmaxLoss(embedding_size=8, num_groups=3))
    model.process_results = lambda **_: None
    trainer = make_trainer(max_epochs=1)
    Quaterion.fit(model, trainer, loader_of("a", "b", "c"))
    assert trainer.callback_metrics["train_loss"] > 0


def test_parameters_of_the_loss_that_no_optimizer_has_are_named(model_type, make_trainer):
    model = model_type(loss=SoftmaxLoss(embedding_size=8, num_groups=2))
    model.process_results = lambda **_: None
    model.configure_optimizers = lambda: torch.optim.Adam(model.model.parameters())
    with pytest.warns(UserWarning, match=r"leaves out weight of SoftmaxLoss.*Pass self.parameters\(\)"):
        Quaterion.fit(model, make_trainer(max_epochs=1), loader_of("a", "b", "a"))


def test_the_parts_of_a_combined_loss_are_logged(model_type, make_trainer):
    parts = {"triplet": (TripletLoss(), 0.5), "softmax": (SoftmaxLoss(embedding_size=8, num_groups=2), 2.0)}
    model = model_type(loss=CombinedLoss(parts))
    model.process_results = lambda **_: None
    trainer = make_trainer(max_epochs=1)
    Quaterion.fit(model, trainer, loader_of("a", "b", "a", "b"))
    logged = {name: float(value) for name, value in trainer.callback_metrics.items()}
    assert logged["train_loss"] == pytest.approx(
        0.5 * logged["train_loss_triplet"] + 2.0 * logged["train_loss_softmax"], rel=1e-5
    )


def test_the_default_optimizer_warms_up_and_decays_on_request(model_type, make_trainer):
    model = model_type(loss=SoftmaxLoss(embedding_size=8, num_groups=2), lr=0.5)
    model.warmup_steps, model.lr_schedule = 2, "cosine"
    rates = []
    model.process_results = lambda **_: rates.append(model.trainer.optimizers[0].param_groups[0]["lr"])
    Quaterion.fit(model, make_trainer(max_epochs=3), loader_of("a", "b", "a", "b", batch_size=2))
    assert rates[:3] == pytest.approx([0.25, 0.5, 0.5])
    assert rates == sorted(rates[:2]) + sorted(rates[2:], reverse=True)
    assert 0 < rates[-1] < 0.1
