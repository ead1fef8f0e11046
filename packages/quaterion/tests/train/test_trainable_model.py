"""Hooks, metrics over whole epochs, and what a program of the documented interface relies on."""

import inspect
import math

import pytest
import pytorch_lightning as pl
import torch
from torch import nn

from quaterion import Quaterion, TrainableModel
from quaterion.dataset import GroupSimilarityDataLoader, PairsSimilarityDataLoader, SimilarityGroupSample
from quaterion.eval.attached_metric import AttachedMetric
from quaterion.eval.group import RetrievalRPrecision
from quaterion.eval.pair import RetrievalReciprocalRank
from quaterion.loss import MultipleNegativesRankingLoss, SimilarityLoss, TripletLoss
from quaterion.train.cache import CacheConfig, CacheType
from quaterion_models import SimilarityModel
from quaterion_models.encoders import Encoder
from quaterion_models.heads import EncoderHead, GatedHead, SkipConnectionHead


class BackboneEncoder(Encoder):
    def __init__(self, backbone: nn.Module, embedding_size: int):
        super().__init__()
        self.encoder = backbone
        self._embedding_size = embedding_size

    @property
    def trainable(self) -> bool:
        return False  # only the head is tuned

    @property
    def embedding_size(self) -> int:
        return self._embedding_size

    def forward(self, images):
        return self.encoder.forward(images)


def make_backbone():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten())


class ImageModel(TrainableModel):
    def __init__(self, embedding_size: int, lr: float, cache: bool = False):
        self._embedding_size = embedding_size
        self._lr = lr
        self._cache = cache
        super().__init__()
        self.save_hyperparameters()

    def configure_encoders(self) -> Encoder:
        return BackboneEncoder(make_backbone(), self._embedding_size)

    def configure_head(self, input_embedding_size) -> EncoderHead:
        return SkipConnectionHead(input_embedding_size)

    def configure_loss(self) -> SimilarityLoss:
        return TripletLoss()

    def configure_caches(self):
        return CacheConfig(CacheType.AUTO) if self._cache else None

    def configure_optimizers(self):
        return torch.optim.Adam(self.model.parameters(), self._lr)


def images():
    """Noise around one picture for each of four groups."""
    generator = torch.Generator().manual_seed(0)
    centres = torch.randn(4, 3, 12, 12, generator=generator)
    return [
        SimilarityGroupSample(centres[i % 4] + 2 * torch.randn(3, 12, 12, generator=generator), i % 4)
        for i in range(64)
    ]


@pytest.mark.parametrize("cache", [False, True])
def test_the_documented_example_trains_with_a_vision_backbone(make_trainer, cache):
    model = ImageModel(embedding_size=32, lr=1e-2, cache=cache)
    assert dict(model.hparams) == {"embedding_size": 32, "lr": 1e-2, "cache": cache}
    losses = []
    model.process_results = lambda embeddings, targets, **_: losses.append(
        float(model.loss(embeddings.detach(), **targets))
    )
    Quaterion.fit(model, make_trainer(max_epochs=8), GroupSimilarityDataLoader(images(), batch_size=32, shuffle=True))
    assert sum(losses[-4:]) < sum(losses[:4])
    assert model.model.encode(torch.randn(2, 3, 12, 12)).shape == (2, 32)


def test_modules_too_can_be_set_before_the_constructor_of_the_base(make_trainer):
    class Given(TrainableModel):
        def __init__(self, backbone, loss):
            self.backbone, self.given_loss = backbone, loss
            super().__init__()

        def configure_encoders(self):
            return BackboneEncoder(self.backbone, 32)

        def configure_head(self, input_embedding_size):
            return SkipConnectionHead(input_embedding_size)

        def configure_loss(self):
            return self.given_loss

    backbone, loss = make_backbone(), TripletLoss()
    model = Given(backbone, loss)
    assert model.backbone is backbone and model.loss is loss
    assert len(list(model.parameters())) == len(set(map(id, model.parameters())))
    Quaterion.fit(model, make_trainer(max_epochs=1), GroupSimilarityDataLoader(images(), batch_size=32))


def test_an_epochs_metric_is_over_the_whole_set_and_not_a_mean_of_batches(model_type, group_data, make_trainer):
    metric = AttachedMetric("rp", RetrievalRPrecision())
    model = model_type(caches=CacheConfig(), metrics=metric, head=GatedHead, lr=0.0)
    loader = GroupSimilarityDataLoader(group_data, batch_size=8)
    trainer = make_trainer(max_epochs=1)
    Quaterion.fit(model, trainer, loader, loader)
    embeddings = torch.from_numpy(model.model.encode([sample.obj for sample in group_data]))
    groups = loader.collate_labels(group_data)["groups"]
    whole = RetrievalRPrecision().compute(embeddings, groups)
    assert float(trainer.callback_metrics["rp_validation"]) == pytest.approx(float(whole), abs=1e-6)
    assert float(trainer.callback_metrics["rp_train"]) == pytest.approx(float(whole), abs=1e-6)


def test_metrics_of_two_validation_sets_and_of_steps_are_kept_apart(model_type, pair_data, make_trainer):
    both = AttachedMetric("rr", RetrievalReciprocalRank(), on_step=True, on_epoch=True)
    model = model_type(loss=MultipleNegativesRankingLoss(), metrics=[both])
    loaders = [PairsSimilarityDataLoader(part, batch_size=8) for part in (pair_data[:20], pair_data[20:])]
    trainer = make_trainer(max_epochs=1)
    Quaterion.fit(model, trainer, loaders[0], loaders)
    names = set(trainer.callback_metrics)
    assert {"rr_train", "rr_train_step", "rr_validation/dataloader_idx_0", "rr_validation/dataloader_idx_1"} <= names


def test_a_metric_that_cannot_be_computed_does_not_end_the_training(model_type, group_data, make_trainer):
    model = model_type(caches=CacheConfig(), metrics=[AttachedMetric("rp", RetrievalRPrecision())])
    alone = [SimilarityGroupSample(sample.obj, i) for i, sample in enumerate(group_data[:6])]
    trainer = make_trainer(max_epochs=1)
    loaders = [GroupSimilarityDataLoader(data, batch_size=25) for data in (group_data, alone)]
    with pytest.warns(UserWarning, match="The metric 'rp' is not logged for validation"):
        Quaterion.fit(model, trainer, *loaders)
    assert "rp_train" in trainer.callback_metrics and "rp_validation" not in trainer.callback_metrics


def test_a_metric_of_an_interrupted_validation_starts_anew_in_the_next_training(model_type, group_data, make_trainer):
    class Stop(pl.Callback):
        def on_validation_batch_end(self, *_):
            raise InterruptedError

    model = model_type(caches=CacheConfig(), metrics=[AttachedMetric("rp", RetrievalRPrecision())], lr=0.0)
    halves = [GroupSimilarityDataLoader(data, batch_size=25) for data in (group_data[:25], group_data[25:])]
    with pytest.raises(InterruptedError):
        Quaterion.fit(model, make_trainer(max_epochs=1, callbacks=[Stop()]), *halves)
    trainer = make_trainer(max_epochs=1)
    Quaterion.fit(model, trainer, halves[1], halves[0])
    embeddings = torch.from_numpy(model.model.encode([sample.obj for sample in group_data[:25]]))
    whole = RetrievalRPrecision().compute(embeddings, halves[0].collate_labels(group_data[:25])["groups"])
    assert float(trainer.callback_metrics["rp_validation"]) == pytest.approx(float(whole), abs=1e-6)


def test_the_defaults_take_an_iterable_data_set():
    class Stream(torch.utils.data.IterableDataset):
        def __iter__(self):
            return iter([])

    assert Quaterion.trainer_defaults(None, GroupSimilarityDataLoader(Stream()))["log_every_n_steps"] == 50


def test_early_stopping_can_monitor_a_metric(model_type, group_data, make_trainer):
    metric = AttachedMetric("rp", RetrievalRPrecision())
    stopping = pl.callbacks.EarlyStopping("rp_validation", mode="max", patience=1, min_delta=2.0)
    trainer = make_trainer(max_epochs=9, callbacks=[stopping], num_sanity_val_steps=2)
    loader = GroupSimilarityDataLoader(group_data, batch_size=16)
    Quaterion.fit(model_type(caches=CacheConfig(), metrics=[metric]), trainer, loader, loader)
    assert trainer.current_epoch == 2


def test_the_servable_model_can_be_saved_at_any_step_and_gives_the_same_vectors(
    model_type, group_data, make_trainer, tmp_path
):
    model = model_type(caches=CacheConfig())
    objects = [sample.obj for sample in group_data[:7]]
    vectors = []

    def save(**_):
        model.save_servable(tmp_path / "model")
        vectors[:] = [model.model.encode(objects)]

    model.process_results = save
    Quaterion.fit(model, make_trainer(max_epochs=1), GroupSimilarityDataLoader(group_data, batch_size=32))
    loaded = SimilarityModel.load(tmp_path / "model", classes=[type(model.model.encoders["default"])])
    assert torch.allclose(torch.from_numpy(loaded.encode(objects)), torch.from_numpy(vectors[0]), atol=1e-6)


def test_the_defaults_of_a_trainer_are_the_documented_callbacks_in_order(model_type):
    callbacks = Quaterion.trainer_defaults()["callbacks"]
    kinds = (pl.callbacks.ProgressBar, pl.callbacks.EarlyStopping, pl.callbacks.ModelSummary)
    assert len(callbacks) == 3 and all(map(isinstance, callbacks, kinds))
    assert set(Quaterion.trainer_defaults(model_type(caches=CacheConfig()))) <= set(
        inspect.signature(pl.Trainer).parameters
    )


def test_early_stopping_by_default_does_nothing_without_validation_data(model_type, group_data, make_trainer):
    stopping = Quaterion.trainer_defaults()["callbacks"][1]
    trainer = make_trainer(max_epochs=6, callbacks=[stopping])
    Quaterion.fit(model_type(), trainer, GroupSimilarityDataLoader(group_data, batch_size=32))
    assert trainer.current_epoch == 6


def test_the_default_optimizer_takes_model_and_loss_and_leaves_frozen_encoders(model_type):
    model = model_type(lr=0.5)
    optimizer = model.configure_optimizers()
    held = {id(p) for group in optimizer.param_groups for p in group["params"]}
    assert held == {id(p) for p in model.model.head.parameters()}
    assert optimizer.param_groups[0]["lr"] == 0.5


def test_the_default_optimizer_in_a_loop_of_ones_own_warms_up_but_knows_no_end(model_type):
    model = model_type(lr=0.5)
    model.warmup_steps = 2
    configured = model.configure_optimizers()
    optimizer, scheduler = configured["optimizer"], configured["lr_scheduler"]["scheduler"]
    rates = []
    for _ in range(3):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    assert rates == pytest.approx([0.25, 0.5, 0.5])
    model.lr_schedule = "cosine"
    with pytest.raises(ValueError, match="which without a Trainer only your loop knows.*learning_rate_factor"):
        model.configure_optimizers()


def test_a_decay_over_data_without_a_length_needs_max_steps(model_type, group_data, make_trainer):
    class Stream(torch.utils.data.IterableDataset):
        def __iter__(self):
            return iter(group_data)

    model = model_type(lr=0.5)
    model.lr_schedule = "cosine"
    loader = GroupSimilarityDataLoader(Stream(), batch_size=10)
    with pytest.raises(ValueError, match="needs an end to decay to"):
        Quaterion.fit(model, make_trainer(max_epochs=2), loader)
    rates = []
    model.process_results = lambda **_: rates.append(model.trainer.optimizers[0].param_groups[0]["lr"])
    Quaterion.fit(model, make_trainer(max_steps=4), loader)
    assert rates == pytest.approx([0.5 * (1 + math.cos(math.pi * step / 4)) / 2 for step in range(4)])
