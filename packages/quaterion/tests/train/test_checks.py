"""Bad input ends before training starts, with one error that says what to do."""

import re
import subprocess
import sys

import pytest
import torch

from quaterion import Quaterion
from quaterion.dataset import (
    GroupSimilarityDataLoader,
    MultiSimilarityDataLoader,
    PairsSimilarityDataLoader,
    SimilarityGroupSample,
    SimilarityPairSample,
)
from quaterion.eval.attached_metric import AttachedMetric
from quaterion.eval.group import RetrievalRPrecision
from quaterion.eval.pair import RetrievalReciprocalRank
from quaterion.eval.scored import SpearmanCorrelation
from quaterion.loss import (
    ArcFaceLoss,
    CenterLoss,
    CombinedLoss,
    ContrastiveLoss,
    MatryoshkaLoss,
    MultipleNegativesRankingLoss,
    ProxyAnchorLoss,
    SoftmaxLoss,
    SupConLoss,
    TripletLoss,
)
from quaterion.loss.extras import PytorchMetricLearningWrapper
from quaterion.train import prepare_batches
from quaterion.train.cache import CacheConfig, CacheType
from quaterion.train.xbm import XbmConfig
from quaterion_models.heads import EmptyHead, GatedHead

HERE = (1.0, 2.0, 3.0, 4.0)


def group_loader(*groups, **arguments):
    data = [SimilarityGroupSample((float(i), 0.0, 0.0, 1.0), group) for i, group in enumerate(groups)]
    return GroupSimilarityDataLoader(data, **{"batch_size": 4} | arguments)


def pair_loader(*scores):
    data = [SimilarityPairSample(HERE, (float(i), 0, 0, 0), s) for i, s in enumerate(scores)]
    return PairsSimilarityDataLoader(data, batch_size=4)


@pytest.mark.parametrize("caches", [None, CacheConfig()])
@pytest.mark.parametrize(
    ("loader", "error", "message"),
    [
        (lambda: group_loader(1), ValueError, "training set has one sample. Expected at least two groups"),
        (lambda: group_loader(1, 1, 1), ValueError, r"All 3 samples .* belong to one group \(1\)"),
        (lambda: group_loader(1, 2, 3), ValueError, "Each of the 3 groups .* has one object"),
        (lambda: group_loader(1, [2], 1), TypeError, r"Sample 1: A group is \[2\], an unhashable list"),
        (lambda: group_loader(1, float("nan"), 1), ValueError, "Sample 1: A group is NaN"),
        (
            lambda: pair_loader(1, 1),
            TypeError,
            "train_dataloader=PairsSimilarityDataLoader, but TripletLoss takes the batches of a GroupSim",
        ),
        (lambda: [1, 2], TypeError, "train_dataloader=list, but TripletLoss"),
    ],
)
def test_data_that_cannot_train_a_group_loss(model_type, make_trainer, caches, loader, error, message):
    model = model_type(caches=caches)
    with pytest.raises(error, match=message):
        Quaterion.fit(model, make_trainer(max_epochs=1), loader())
    assert model.steps == []


@pytest.mark.parametrize("caches", [None, CacheConfig()])
@pytest.mark.parametrize(
    ("loader", "error", "message"),
    [
        (lambda: pair_loader(1), ValueError, "training set has one pair. Expected at least two"),
        (lambda: pair_loader(1, 0.5), ValueError, "score 1, but 1 of 2 pairs"),
        (lambda: group_loader(1, 1, 2), TypeError, "takes the batches of a PairsSimilarityDataLoader"),
    ],
)
def test_data_that_cannot_train_a_pair_loss(model_type, make_trainer, caches, loader, error, message):
    model = model_type(caches=caches, loss=MultipleNegativesRankingLoss())
    with pytest.raises(error, match=message):
        Quaterion.fit(model, make_trainer(max_epochs=1), loader())
    assert model.steps == []


def test_validation_data_is_checked_before_training_too(model_type, make_trainer):
    model = model_type()
    with pytest.raises(TypeError, match="val_dataloader=PairsSimilarityDataLoader"):
        Quaterion.fit(model, make_trainer(max_epochs=1), group_loader(1, 1, 2), [group_loader(1), pair_loader(1)])
    with pytest.raises(ValueError, match="Sample 0: A group is NaN"):
        Quaterion.fit(model, make_trainer(max_epochs=1), group_loader(1, 1, 2), group_loader(float("nan")))
    assert model.steps == []


def test_a_trainer_of_the_twin_package_is_named(model_type, monkeypatch):
    class Trainer:
        pass

    Trainer.__module__ = "lightning.pytorch.trainer.trainer"
    with pytest.raises(TypeError, match=r"got a lightning.pytorch.trainer.trainer.*import pytorch_lightning as pl"):
        Quaterion.fit(model_type(), Trainer(), group_loader(1, 1, 2))
    with pytest.raises(TypeError, match="got trainer=3; expected a pytorch_lightning.Trainer, or None"):
        Quaterion.fit(model_type(), 3, group_loader(1, 1, 2))


def test_a_model_without_head_or_loss_can_be_built_but_not_trained(model_type, make_trainer):
    class NoHead(model_type):
        def configure_head(self, input_embedding_size):
            return None

    class NoLoss(model_type):
        def configure_loss(self):
            return None

    assert NoHead().model.head is None and NoLoss().loss is None
    with pytest.raises(ValueError, match="NoHead.configure_head returned None"):
        Quaterion.fit(NoHead(), make_trainer(max_epochs=1), group_loader(1, 1, 2))
    with pytest.raises(ValueError, match="NoLoss.configure_loss returned None"):
        Quaterion.fit(NoLoss(), make_trainer(max_epochs=1), group_loader(1, 1, 2))
    with pytest.raises(TypeError, match="got a Linear; expected a TrainableModel"):
        Quaterion.fit(torch.nn.Linear(1, 1), make_trainer(max_epochs=1), group_loader(1, 1, 2))


def test_a_model_with_nothing_to_train_is_refused(model_type, make_trainer):
    with pytest.raises(ValueError, match="nothing to train: .*EmptyHead.*Choose a head with parameters"):
        Quaterion.fit(model_type(head=EmptyHead), make_trainer(max_epochs=1), group_loader(1, 1, 2))


def test_a_head_of_another_size_is_refused_when_fit_starts(model_type, make_trainer):
    model = model_type(head=lambda size: GatedHead(size + 1))
    with pytest.raises(ValueError, match="takes vectors of size 9, but the encoders give 8"):
        Quaterion.fit(model, make_trainer(max_epochs=1), group_loader(1, 1, 2))


def encoder_giving(encoder_type, change):
    class Wrong(encoder_type):
        def forward(self, batch):
            return change(super().forward(batch))

    return Wrong()


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_nan_vectors_are_refused_and_nothing_of_them_is_cached(
    model_type, encoder_type, make_trainer, tmp_path, number
):
    encoder = encoder_giving(encoder_type, lambda vectors: vectors.index_fill(0, torch.tensor([1]), number))
    model = model_type(encoders=encoder, caches=CacheConfig(save_dir=tmp_path))
    with pytest.raises(ValueError, match=r"encoder 'default' gave NaN or infinite values \(object 1 of a batch of 3\)"):
        Quaterion.fit(model, make_trainer(max_epochs=1), group_loader(1, 1, 2))
    assert len(model.embedding_stores["default"]) == 0


@pytest.mark.parametrize("caches", [None, CacheConfig()])
def test_an_encoder_of_another_size_than_it_declares_is_refused(model_type, encoder_type, make_trainer, caches):
    model = model_type(encoders=encoder_giving(encoder_type, lambda vectors: vectors[:, :5]), caches=caches)
    with pytest.raises(ValueError, match=r"\[3, 5\], expected \[batch, 8\] because its embedding_size is 8"):
        Quaterion.fit(model, make_trainer(max_epochs=1), group_loader(1, 1, 2))


def test_an_unwritable_folder_is_one_error_and_other_caches_stay_whole(model_type, make_trainer, tmp_path):
    good = model_type(caches=CacheConfig(save_dir=tmp_path / "good"))
    Quaterion.fit(good, make_trainer(max_epochs=1), group_loader(1, 1, 2))
    (tmp_path / "file").write_text("")
    model = model_type(caches=CacheConfig(save_dir=tmp_path / "file" / "cache"))
    with pytest.raises(OSError, match="Cannot use the folder as a cache.*another save_dir"):
        Quaterion.fit(model, make_trainer(max_epochs=1), group_loader(1, 1, 2))
    again = model_type(caches=CacheConfig(save_dir=tmp_path / "good"))
    Quaterion.fit(again, make_trainer(max_epochs=1), group_loader(1, 1, 2))
    assert int(again.model.encoders["default"].encoded) == 0


def test_caching_what_changes_is_refused(model_type, encoder_type, make_trainer):
    trained = {"a": encoder_type(trainable=True)}
    for config, message in (
        (CacheConfig(), "every encoder is trainable"),
        (CacheConfig(mapping={"a": CacheType.CPU}), "caches the encoder 'a', which is trainable"),
        (CacheConfig(mapping={"b": CacheType.CPU}), r"names the encoders \['b'\]; the model has \['a'\]"),
    ):
        with pytest.raises(ValueError, match=message):
            Quaterion.fit(
                model_type(encoders=trained, caches=config), make_trainer(max_epochs=1), group_loader(1, 1, 2)
            )
    with pytest.raises(ValueError, match="to lie on a GPU, but the Trainer uses the CPU"):
        Quaterion.fit(model_type(caches=CacheConfig(CacheType.GPU)), make_trainer(max_epochs=1), group_loader(1, 1, 2))


@pytest.mark.parametrize("trained", [False, True])
def test_a_data_set_that_changes_between_reads_is_refused(model_type, encoder_type, make_trainer, trained):
    class Augmented:
        def __len__(self):
            return 6

        def __getitem__(self, index):
            return SimilarityGroupSample(tuple(torch.randn(4).tolist()), index % 2)

    encoders = {"a": encoder_type()} | ({"b": encoder_type(trainable=True)} if trained else {})
    model = model_type(encoders=encoders, caches=CacheConfig(mapping={"a": CacheType.CPU}))
    with pytest.raises(ValueError, match="differs between two reads .* take random transforms out"):
        Quaterion.fit(model, make_trainer(max_epochs=1), GroupSimilarityDataLoader(Augmented(), batch_size=3))


def test_memory_is_refused_for_a_loss_that_cannot_use_it(model_type, make_trainer):
    model = model_type(loss=ContrastiveLoss(), xbm=XbmConfig())
    with pytest.raises(TypeError, match="ContrastiveLoss cannot use a cross-batch memory.* Remove configure_xbm"):
        Quaterion.fit(model, make_trainer(max_epochs=1), pair_loader(1, 1))


def test_nan_vectors_are_refused_without_a_cache_too(model_type, encoder_type, make_trainer):
    model = model_type(encoders=encoder_giving(encoder_type, lambda vectors: vectors * float("nan")))
    with pytest.raises(ValueError, match="encoder 'default' gave NaN or infinite values"):
        Quaterion.fit(model, make_trainer(max_epochs=1), group_loader(1, 1, 2))
    assert all(bool(torch.isfinite(p).all()) for p in model.model.head.parameters())


@pytest.mark.parametrize("caches", [None, CacheConfig()])
def test_loaders_that_give_no_proper_batches_are_refused(model_type, make_trainer, caches):
    for arguments, message in (
        ({"batch_size": None}, "batch_size=None; expected batches"),
        ({"batch_size": 9, "drop_last": True}, "train_dataloader gives no batch: batch_size=9"),
    ):
        with pytest.raises(ValueError, match=message):
            Quaterion.fit(model_type(caches=caches), make_trainer(max_epochs=1), group_loader(1, 1, 2, 2, **arguments))


def test_batches_of_one_are_warned_of(model_type, make_trainer):
    with pytest.warns(UserWarning, match="batch_size=1, the default of a DataLoader, but TripletLoss compares"):
        Quaterion.fit(model_type(), make_trainer(max_epochs=1), group_loader(1, 1, 2, batch_size=1))


@pytest.mark.parametrize(
    ("hook", "value", "message"),
    [
        ("configure_loss", lambda: ContrastiveLoss, "configure_loss returned ContrastiveLoss; expected a loss"),
        (
            "configure_caches",
            lambda: CacheType.AUTO,
            r"returned CacheType\(...\); expected a CacheConfig",
        ),
        (
            "configure_metrics",
            lambda: [RetrievalRPrecision()],
            "expected AttachedMetric.*RetrievalRPrecision",
        ),
        (
            "configure_metrics",
            lambda: AttachedMetric("m", RetrievalReciprocalRank()),
            "'m' is quaterion.eval.pair.*RetrievalReciprocalRank, but TripletLoss .* quaterion.eval.group",
        ),
        (
            "configure_metrics",
            lambda: AttachedMetric("m", SpearmanCorrelation()),
            "'m' is quaterion.eval.scored.*SpearmanCorrelation, but TripletLoss .* quaterion.eval.group",
        ),
    ],
)
def test_hooks_that_return_the_wrong_thing_are_named(model_type, make_trainer, hook, value, message):
    kind = type("Wrong", (model_type,), {hook: lambda self: value()})
    with pytest.raises(TypeError, match=message):
        Quaterion.fit(kind(), make_trainer(max_epochs=1), group_loader(1, 1, 2))


def test_a_gpu_for_the_cache_is_missed_before_anything_is_encoded(model_type, make_trainer):
    model = model_type(caches=CacheConfig(CacheType.GPU))
    with pytest.raises(ValueError, match="lie on a GPU"):
        Quaterion.fit(model, make_trainer(max_epochs=1), group_loader(1, 1, 2))
    assert int(model.model.encoders["default"].encoded) == 0


def test_one_pair_with_a_hard_negative_can_train(model_type, make_trainer):
    data = [SimilarityPairSample(HERE, (0, 1, 0, 0), negatives=[(0, 0, 1, 0)])]
    model = model_type(loss=MultipleNegativesRankingLoss())
    trainer = make_trainer(max_epochs=1)
    Quaterion.fit(model, trainer, PairsSimilarityDataLoader(data, batch_size=4))
    assert trainer.callback_metrics["train_loss"] > 0


def test_import_quaterion_imports_no_lightning_until_a_name_needs_it():
    code = """
import sys
import quaterion, quaterion.dataset, quaterion.loss
assert "pytorch_lightning" not in sys.modules
assert quaterion.TrainableModel
assert "pytorch_lightning" in sys.modules
"""
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def own_collate(batch):
    return GroupSimilarityDataLoader.collate(batch)


def test_labels_that_only_a_collate_function_knows_are_refused_for_class_weights(model_type, make_trainer):
    loader = group_loader("a", "b", "a", collate_fn=own_collate)
    for fit in (lambda m: Quaterion.fit(m, make_trainer(max_epochs=1), loader), lambda m: prepare_batches(m, loader)):
        with pytest.raises(ValueError, match="collate function of its own.* SoftmaxLoss needs all labels .* data set"):
            fit(model_type(loss=SoftmaxLoss(8, 2)))
    model = model_type()
    Quaterion.fit(model, make_trainer(max_epochs=1), loader)  # a loss that compares objects needs no labels before
    assert model.steps


def test_data_sets_with_some_names_of_the_losses_are_refused(model_type, make_trainer):
    def fit(*names):
        loss = CombinedLoss({"nli": (TripletLoss(), 1.0), "sts": (SupConLoss(), 1.0)})
        model = model_type(loss=loss)
        model.process_results = lambda **_: None
        loaders = {name: group_loader(1, 1, 2, 2) for name in names}
        Quaterion.fit(model, make_trainer(max_epochs=1), MultiSimilarityDataLoader(loaders))
        return model.loss_by_source

    for names in (("nli", "stsb"), ("nli",), ("nli", "sts", "more")):
        message = (
            rf"named \['nli', 'sts'\], and the training sets {re.escape(str(sorted(names)))}. Expected equal names"
        )
        with pytest.raises(ValueError, match=message):
            fit(*names)
    assert fit("sts", "nli") is True
    assert fit("a", "b") is False


def test_losses_of_both_kinds_need_a_data_set_each(model_type, make_trainer):
    model = model_type(loss=CombinedLoss({"t": (TripletLoss(), 1.0), "m": (MultipleNegativesRankingLoss(), 1.0)}))
    wanted = "a loader for each loss, by its name: 't': GroupSimilarityDataLoader, 'm': PairsSimilarityDataLoader"
    for loader, given in (
        (group_loader(1, 1, 2), "one data set"),
        (MultiSimilarityDataLoader({"a": group_loader(1, 1, 2)}), r"data sets named \['a'\]"),
    ):
        with pytest.raises(ValueError, match=f"different kinds of data, but the training is on {given}.*{wanted}"):
            Quaterion.fit(model, make_trainer(max_epochs=1), loader)
    with pytest.raises(ValueError, match=wanted):
        prepare_batches(model, group_loader(1, 1, 2))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ArcFaceLoss(16, 2), "ArcFaceLoss is made for embeddings of size 16, but the head gives 8. Build it"),
        (lambda: SoftmaxLoss(16, 2), "SoftmaxLoss is made for embeddings of size 16"),
        (lambda: CenterLoss(4, 2), "CenterLoss is made for embeddings of size 4"),
        (lambda: CombinedLoss({"a": (ProxyAnchorLoss(16, 2), 1.0)}), "ProxyAnchorLoss is made for .* size 16"),
        (lambda: MatryoshkaLoss(ArcFaceLoss(16, 2), [8]), "ArcFaceLoss is made for embeddings of size 16"),
        (lambda: MatryoshkaLoss(TripletLoss(), [32, 4]), r"dims=\[32, 4\], but the head gives embeddings of size 8"),
    ],
)
def test_a_loss_for_another_size_is_refused_before_anything_is_encoded(model_type, make_trainer, make, message):
    model = model_type(loss=make(), caches=CacheConfig())
    with pytest.raises(ValueError, match=message):
        Quaterion.fit(model, make_trainer(max_epochs=1), group_loader("a", "a", "b"))
    assert int(model.model.encoders["default"].encoded) == 0


def test_class_weights_of_pytorch_metric_learning_are_checked_too(model_type, make_trainer):
    losses = pytest.importorskip("pytorch_metric_learning.losses")

    def wrapped(loss):
        return PytorchMetricLearningWrapper(loss)

    for loss, message in (
        (wrapped(losses.ArcFaceLoss(2, 16)), "ArcFaceLoss is made for embeddings of size 16, but the head gives 8"),
        (wrapped(losses.ProxyAnchorLoss(2, 16)), "ProxyAnchorLoss is made for embeddings of size 16"),
        (wrapped(losses.MultipleLosses([losses.ArcFaceLoss(2, 16)])), "ArcFaceLoss is made for embeddings of size 16"),
        (MatryoshkaLoss(wrapped(losses.ArcFaceLoss(2, 8)), [8, 4]), r"cannot cut .* ArcFaceLoss, .* shape \[8, 2\]"),
    ):
        with pytest.raises(ValueError, match=message):
            Quaterion.fit(model_type(loss=loss), make_trainer(max_epochs=1), group_loader("a", "a", "b"))
    for loss in (wrapped(losses.ArcFaceLoss(2, 8)), MatryoshkaLoss(wrapped(losses.ProxyAnchorLoss(2, 8)), [8, 4])):
        model = model_type(loss=loss)
        model.process_results = lambda **_: None
        Quaterion.fit(model, make_trainer(max_epochs=1), group_loader("a", "a", "b"))


def test_rates_that_cannot_be_are_refused_before_anything_is_encoded(model_type, encoder_type, make_trainer):
    for settings, message in (
        ({"encoder_lr": 0}, "encoder_lr=0; expected a learning rate above 0"),
        ({"encoder_lr": "1e-4"}, "encoder_lr='1e-4'; expected a learning rate"),
        ({"layer_lr_decay": 1.5}, "layer_lr_decay=1.5; expected a factor above 0 and up to 1"),
        (
            {"layer_lr_decay": 0.9},
            "layer_lr_decay=0.9 does not fit the encoder 'trained': LinearEncoder holds no model",
        ),
        ({"lr": "fast"}, "lr='fast'; expected a number of 0 or more"),
        ({"weight_decay": -1}, "weight_decay=-1; expected a number of 0 or more"),
    ):
        encoders = {"frozen": encoder_type(), "trained": encoder_type(trainable=True)}
        model = model_type(encoders=encoders, caches=CacheConfig())
        vars(model).update(settings)
        with pytest.raises(ValueError, match=message):
            Quaterion.fit(model, make_trainer(max_epochs=1), group_loader(1, 1, 2))
        assert int(encoders["frozen"].encoded) == 0


def test_a_schedule_that_cannot_be_is_refused_before_anything_is_encoded(model_type, make_trainer):
    for settings, message in (
        ({"lr_schedule": "cosine"}, "lr_schedule='cosine' needs an end to decay to"),
        ({"lr_schedule": "linear"}, "lr_schedule='linear'; expected"),
        ({"warmup_steps": -1}, "warmup_steps=-1; expected"),
    ):
        model = model_type(caches=CacheConfig())
        vars(model).update(settings)
        for limit in ({"max_epochs": -1}, {"max_time": "00:00:01:00"}):
            with pytest.raises(ValueError, match=message):
                Quaterion.fit(model, make_trainer(**limit), group_loader(1, 1, 2))
        assert int(model.model.encoders["default"].encoded) == 0
    model = model_type()  # what a configure_optimizers of one's own does not read needs no check
    model.lr_schedule, model.encoder_lr = "linear", 0
    model.configure_optimizers = lambda: torch.optim.SGD(model.parameters(), lr=0.1)
    Quaterion.fit(model, make_trainer(max_epochs=1), group_loader(1, 1, 2))
