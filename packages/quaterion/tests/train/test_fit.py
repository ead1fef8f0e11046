"""Training with and without the cache is the same training, with every kind of loader."""

import copy
import pickle

import pytest
import pytorch_lightning as pl
import torch
from torch.utils.data import BatchSampler, IterableDataset, RandomSampler, WeightedRandomSampler

from quaterion import Quaterion
from quaterion.cache import EmbeddingStore
from quaterion.dataset import GroupSimilarityDataLoader, PairsSimilarityDataLoader, SimilarityPairSample
from quaterion.loss import ContrastiveLoss, MultipleNegativesRankingLoss, TripletLoss
from quaterion.train import prepare_batches
from quaterion.train.cache import CacheConfig, CacheType
from quaterion_models.heads import SkipConnectionHead, SwitchHead


class Stream(IterableDataset):
    def __init__(self, data):
        self.data = data

    def __iter__(self):
        return iter(self.data)


LOADERS = {
    "shuffle": lambda data: {"dataset": data, "batch_size": 16, "shuffle": True},
    "drop_last": lambda data: {"dataset": data, "batch_size": 16, "shuffle": True, "drop_last": True},
    "generator": lambda data: {
        "dataset": data, "batch_size": 16, "shuffle": True, "generator": torch.Generator().manual_seed(3),
    },
    "batch sampler": lambda data: {
        "dataset": data, "batch_sampler": BatchSampler(RandomSampler(data), 12, drop_last=False),
    },
    "weighted sampler": lambda data: {
        "dataset": data, "batch_size": 16, "sampler": WeightedRandomSampler(torch.arange(1.0, len(data) + 1), 64),
    },
    "two workers": lambda data: {"dataset": data, "batch_size": 16, "shuffle": True, "num_workers": 2},
    "workers that stay": lambda data: {
        "dataset": data, "batch_size": 16, "shuffle": True, "num_workers": 1, "persistent_workers": True,
    },
    "stream": lambda data: {"dataset": Stream(data), "batch_size": 16},
}  # fmt: skip


def losses_of(model, trainer, *loaders):
    torch.manual_seed(7)
    Quaterion.fit(model, trainer, *loaders)
    return [value for _, value in model.steps]


@pytest.mark.parametrize("name", LOADERS)
def test_cached_and_uncached_training_give_the_same_losses_from_groups(name, model_type, group_data, make_trainer):
    runs = []
    for caches in (None, CacheConfig(CacheType.AUTO)):
        torch.manual_seed(1)
        model = model_type(caches=caches)
        loaders = [GroupSimilarityDataLoader(**LOADERS[name](group_data)) for _ in range(2)]
        runs.append(losses_of(model, make_trainer(max_epochs=3), *loaders))
    assert len(runs[0]) > 10
    assert runs[1] == pytest.approx(runs[0], rel=1e-5)


@pytest.mark.parametrize("name", LOADERS)
@pytest.mark.filterwarnings("ignore:ContrastiveLoss ignores explicit negatives")
@pytest.mark.parametrize("loss", [MultipleNegativesRankingLoss, ContrastiveLoss])
def test_cached_and_uncached_training_give_the_same_losses_from_pairs(name, loss, model_type, pair_data, make_trainer):
    runs = []
    for caches in (None, CacheConfig(CacheType.AUTO)):
        torch.manual_seed(1)
        head = lambda size: SwitchHead(  # noqa: E731
            {"query": SkipConnectionHead(size, dropout=0.1), "document": SkipConnectionHead(size)}, size
        )
        model = model_type(caches=caches, loss=loss(), head=head)
        runs.append(losses_of(model, make_trainer(max_epochs=2), PairsSimilarityDataLoader(**LOADERS[name](pair_data))))
    assert len(runs[0]) >= 4
    assert runs[1] == pytest.approx(runs[0], rel=1e-5)


class Sharded(Stream):
    """Gives every worker its share of the items."""

    def __iter__(self):
        worker = torch.utils.data.get_worker_info()
        return iter(self.data if worker is None else self.data[worker.id :: worker.num_workers])


@pytest.mark.parametrize("drop_last", [False, True])
def test_streams_that_several_workers_read_are_the_same_with_and_without_the_cache(
    drop_last, model_type, group_data, make_trainer
):
    runs = []
    for caches in (None, CacheConfig()):
        torch.manual_seed(1)
        model = model_type(caches=caches)
        loader = GroupSimilarityDataLoader(Sharded(group_data), batch_size=8, num_workers=2, drop_last=drop_last)
        runs.append(losses_of(model, make_trainer(max_epochs=2), loader))
    assert len(runs[0]) == 2 * (6 if drop_last else 8)
    assert runs[1] == pytest.approx(runs[0], rel=1e-5)


COMPOSED = {
    "P x K": lambda groups, pairs: (
        GroupSimilarityDataLoader(groups, groups_per_batch=3, samples_per_group=4), TripletLoss,
    ),
    "P x K, generator": lambda groups, pairs: (
        GroupSimilarityDataLoader(
            groups, groups_per_batch=3, samples_per_group=4, generator=torch.Generator().manual_seed(3)
        ),
        TripletLoss,
    ),
    "unique subgroups": lambda groups, pairs: (
        PairsSimilarityDataLoader(pairs, unique_subgroups=True, batch_size=10), MultipleNegativesRankingLoss,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", COMPOSED)
def test_composed_batches_and_several_validation_sets_are_the_same_with_and_without_the_cache(
    name, model_type, group_data, pair_data, make_trainer
):
    runs = []
    for caches in (None, CacheConfig()):
        loader, loss = COMPOSED[name](group_data, pair_data)
        torch.manual_seed(1)
        model = model_type(caches=caches, loss=loss())
        data = pair_data if loss is MultipleNegativesRankingLoss else group_data
        kind = type(loader)
        validation = [kind(data[:30], batch_size=7), kind(data[10:], batch_size=16)]
        runs.append(losses_of(model, make_trainer(max_epochs=3), loader, validation))
    assert len(runs[0]) > 20
    assert runs[1] == pytest.approx(runs[0], rel=1e-5)


def test_a_second_fit_with_the_same_loader_and_model_goes_on_alike_and_encodes_nothing(
    model_type, encoder_type, group_data, make_trainer
):
    runs = []
    for caches in (None, CacheConfig()):
        torch.manual_seed(1)
        encoder = encoder_type()
        model = model_type(caches=caches, encoders=encoder)
        loader = GroupSimilarityDataLoader(group_data, batch_size=16, shuffle=True)
        losses_of(model, make_trainer(max_epochs=2), loader)
        encoded = int(encoder.encoded)
        runs.append(losses_of(model, make_trainer(max_epochs=2), loader))
    assert runs[1] == pytest.approx(runs[0], rel=1e-5)
    assert encoded == int(encoder.encoded) == 45  # distinct objects


def test_one_encoder_cached_and_one_trained_equal_both_running(model_type, encoder_type, group_data, make_trainer):
    runs, weights = [], []
    for caches in (None, CacheConfig(mapping={"frozen": CacheType.CPU})):
        torch.manual_seed(1)
        encoders = {"frozen": encoder_type(), "trained": encoder_type(3, trainable=True)}
        encoders["trained"].dropout.p = 0.0
        before = encoders["trained"].layer.weight.clone()
        model = model_type(caches=caches, encoders=encoders)
        runs.append(
            losses_of(
                model, make_trainer(max_epochs=2), GroupSimilarityDataLoader(group_data, batch_size=16, shuffle=True)
            )
        )
        weights.append(encoders["trained"].layer.weight)
        assert not torch.equal(before, weights[-1])
        assert int(encoders["frozen"].encoded) == (45 if caches else 200 // 2)
    assert runs[1] == pytest.approx(runs[0], rel=1e-5)
    assert torch.allclose(*weights, rtol=1e-4)


def test_what_the_user_passes_in_is_not_changed(model_type, group_data, make_trainer):
    trainer = make_trainer(max_epochs=1)
    loader = GroupSimilarityDataLoader(group_data, batch_size=16, shuffle=True)
    callbacks, attributes, data = list(trainer.callbacks), dict(vars(loader)), pickle.dumps(group_data)
    Quaterion.fit(model_type(caches=CacheConfig()), trainer, loader, loader)
    assert trainer.callbacks == callbacks
    assert dict(vars(loader)) == attributes
    assert pickle.dumps(group_data) == data
    ids, objects, labels = next(iter(loader))
    assert len(ids) == len(objects) == len(labels["groups"]) == 16


def test_validation_logs_under_the_documented_names(model_type, group_data, make_trainer):
    trainer = make_trainer(max_epochs=1)
    loader = GroupSimilarityDataLoader(group_data, batch_size=16)
    model = model_type(caches=CacheConfig())
    Quaterion.fit(model, trainer, loader, {"a": loader, "b": loader})
    assert {"train_loss", "validation_loss/dataloader_idx_0", "validation_loss/dataloader_idx_1"} <= set(
        trainer.callback_metrics
    )
    both = [trainer.callback_metrics[f"validation_loss/dataloader_idx_{i}"] for i in range(2)]
    assert float(trainer.callback_metrics["validation_loss"]) == pytest.approx(float(sum(both)) / 2, rel=1e-5)
    Quaterion.fit(model, trainer := make_trainer(max_epochs=1), loader, loader)
    values = [value for stage, value in model.steps[-4:] if stage == "validation"]
    sizes = torch.tensor([16.0, 16, 16, 2])
    expected = (torch.tensor(values) * sizes).sum() / sizes.sum()
    assert trainer.callback_metrics["validation_loss"] == pytest.approx(float(expected), rel=1e-5)


def test_frozen_encoders_stay_frozen_and_in_eval_mode_while_the_head_trains(
    model_type, encoder_type, group_data, make_trainer
):
    encoder = encoder_type()
    seen = []
    model = model_type(encoders=encoder)
    original = model.process_results
    model.process_results = lambda **kwargs: (
        seen.append((encoder.training, model.model.head.training)),
        original(**kwargs),
    )
    before = encoder.layer.weight.clone()
    Quaterion.fit(model, make_trainer(max_epochs=1), GroupSimilarityDataLoader(group_data, batch_size=16))
    assert seen == [(False, True)] * 4
    assert torch.equal(encoder.layer.weight, before) and not encoder.layer.weight.requires_grad


def test_accumulation_clipping_and_mixed_precision_work_as_in_lightning(model_type, group_data, make_trainer):
    for settings in (
        {"accumulate_grad_batches": 2, "gradient_clip_val": 0.1},
        {"precision": "bf16-mixed"},
    ):
        runs = []
        for caches in (None, CacheConfig()):
            torch.manual_seed(1)
            model = model_type(caches=caches)
            trainer = make_trainer(max_epochs=2, **settings)
            runs.append(losses_of(model, trainer, GroupSimilarityDataLoader(group_data, batch_size=16, shuffle=True)))
            assert trainer.global_step == (4 if "accumulate_grad_batches" in settings else 8)
        # The uncached encoder itself runs in bf16 under autocast, so equality is looser there.
        assert runs[1] == pytest.approx(runs[0], rel=5e-2 if "precision" in settings else 1e-5)


@pytest.mark.parametrize("precision", ["bf16-true", "64-true"])
def test_true_precision_trains_from_the_cache(model_type, pair_data, make_trainer, precision):
    model = model_type(loss=MultipleNegativesRankingLoss(), caches=CacheConfig())
    Quaterion.fit(
        model, make_trainer(max_epochs=1, precision=precision), PairsSimilarityDataLoader(pair_data, batch_size=8)
    )
    assert len(model.steps) == 5 and all(value > 0 for _, value in model.steps)


def test_subgroups_count_for_each_data_set_on_its_own(model_type, pair_data, make_trainer):
    plain = [SimilarityPairSample(sample.obj_a, sample.obj_b) for sample in pair_data]
    for caches in (None, CacheConfig()):
        model = model_type(loss=MultipleNegativesRankingLoss(), caches=caches)
        trainer = make_trainer(max_epochs=1)
        loaders = [PairsSimilarityDataLoader(data, batch_size=8) for data in (pair_data, plain)]
        Quaterion.fit(model, trainer, *loaders)
        assert trainer.callback_metrics["validation_loss"] > 0


class Alternating(torch.utils.data.Sampler):
    """Orders samples by the epoch it was told."""

    epoch = 0

    def set_epoch(self, epoch):
        self.epoch = epoch

    def __iter__(self):
        return iter(range(8) if self.epoch % 2 == 0 else reversed(range(8)))

    def __len__(self):
        return 8


@pytest.mark.filterwarnings("ignore:Total length of")  # Lightning's, of the validation data that is not there
@pytest.mark.parametrize("caches", [None, CacheConfig()])
def test_samplers_are_told_the_epoch_and_overfitting_repeats_its_batches(model_type, group_data, make_trainer, caches):
    def seen(loader, **settings):
        model, batches = model_type(caches=caches), []
        model.process_results = lambda embeddings, targets, **_: batches.append(targets["groups"].tolist())
        Quaterion.fit(model, make_trainer(**settings), loader)
        return batches

    data = group_data[:8]
    first, second, third = seen(GroupSimilarityDataLoader(data, batch_size=8, sampler=Alternating()), max_epochs=3)
    assert first == third == second[::-1] != second
    one = seen(GroupSimilarityDataLoader(group_data, batch_size=8, shuffle=True), max_epochs=3, overfit_batches=1)
    assert len(one) == 3 and one[0] == one[1] == one[2]


def test_the_trainers_test_and_validate_take_plain_loaders(model_type, group_data, make_trainer):
    model = model_type(caches=CacheConfig())
    loader = GroupSimilarityDataLoader(group_data, batch_size=50)
    trainer = make_trainer(max_epochs=1)
    Quaterion.fit(model, trainer, loader, loader)
    expected = float(trainer.callback_metrics["validation_loss"])
    assert trainer.test(model, loader, verbose=False)[0]["test_loss"] == pytest.approx(expected, rel=1e-5)
    assert trainer.validate(model, loader, verbose=False)[0]["validation_loss"] == pytest.approx(expected, rel=1e-5)


def test_resuming_from_a_checkpoint_equals_not_having_stopped(model_type, group_data, make_trainer, tmp_path):
    def loader():
        return GroupSimilarityDataLoader(group_data, batch_size=16)

    def head(size):
        return SkipConnectionHead(size)

    torch.manual_seed(1)
    whole = model_type(caches=CacheConfig(), head=head)
    losses = losses_of(whole, make_trainer(max_epochs=4), loader())

    torch.manual_seed(1)
    first = model_type(caches=CacheConfig(), head=head)
    trainer = make_trainer(max_epochs=2)
    losses_of(first, trainer, loader())
    trainer.save_checkpoint(tmp_path / "half.ckpt")
    second = model_type(caches=CacheConfig(), head=head)
    Quaterion.fit(second, make_trainer(max_epochs=4), loader(), ckpt_path=tmp_path / "half.ckpt")
    assert [value for _, value in second.steps] == pytest.approx(losses[8:], rel=1e-6)


def test_early_stopping_and_the_best_checkpoint_work_and_the_best_is_restored(
    model_type, group_data, make_trainer, tmp_path
):
    checkpoint = pl.callbacks.ModelCheckpoint(tmp_path, monitor="validation_loss", save_top_k=1)
    stopping = pl.callbacks.EarlyStopping("validation_loss", patience=2, min_delta=10.0)
    trainer = make_trainer(max_epochs=50, callbacks=[checkpoint, stopping], enable_checkpointing=True)
    model = model_type(caches=CacheConfig(), lr=0.1)
    loader = GroupSimilarityDataLoader(group_data, batch_size=50)
    Quaterion.fit(model, trainer, loader, loader)
    assert trainer.current_epoch == 3  # the first is the best by min_delta, then two without improvement
    validation = [value for stage, value in model.steps if stage == "validation"]
    assert float(checkpoint.best_model_score) == pytest.approx(min(validation), rel=1e-6)

    restored = model_type(caches=CacheConfig())
    restored.load_state_dict(torch.load(checkpoint.best_model_path, weights_only=True)["state_dict"])
    restored.eval()
    (batch,) = prepare_batches(restored, loader)
    with torch.no_grad():
        value = restored.compute_loss(restored.embed(batch.features), batch.targets)
    assert float(value) == pytest.approx(min(validation), rel=1e-5)


def test_without_a_trainer_the_defaults_are_used(model_type, group_data, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    model = model_type(caches=CacheConfig())
    loader = GroupSimilarityDataLoader(group_data, batch_size=50)
    Quaterion.fit(model, None, loader, loader)
    assert model.steps[0][0] == "validation" or model.steps[0][0] == "train"
    assert len(model.steps) > 5


def test_a_store_of_vectors_computed_elsewhere_serves_instead_of_the_encoder(
    model_type, encoder_type, group_data, make_trainer
):
    runs = []
    for elsewhere in (False, True):
        torch.manual_seed(1)
        encoder = encoder_type().eval()
        model = model_type(caches=CacheConfig(), encoders=encoder)
        if elsewhere:
            objects = [sample.obj for sample in group_data]
            with torch.no_grad():
                vectors = encoder.layer(torch.tensor(objects))
            store = EmbeddingStore.from_vectors(objects, vectors, fingerprint=encoder.fingerprint())
            model.embedding_stores["default"] = store
        loader = GroupSimilarityDataLoader(group_data, batch_size=16, shuffle=True)
        runs.append(losses_of(model, make_trainer(max_epochs=2), loader))
        assert int(encoder.encoded) == (0 if elsewhere else 45)
    assert runs[1] == pytest.approx(runs[0], rel=1e-5)


def test_a_checkpoint_with_another_frozen_encoder_is_refused_before_the_first_step(
    model_type, encoder_type, group_data, make_trainer, tmp_path
):
    loader = GroupSimilarityDataLoader(group_data, batch_size=16)
    trainer = make_trainer(max_epochs=1)
    Quaterion.fit(model_type(caches=CacheConfig(), encoders=encoder_type(seed=1)), trainer, loader)
    trainer.save_checkpoint(tmp_path / "one.ckpt")
    other = model_type(caches=CacheConfig(), encoders=encoder_type(seed=2))
    with pytest.raises(ValueError, match="other weights for the frozen encoder 'default' .*Build the model with"):
        Quaterion.fit(other, make_trainer(max_epochs=2), loader, ckpt_path=tmp_path / "one.ckpt")
    assert other.steps == []


def test_copies_of_a_model_share_its_cached_vectors(model_type, group_data, make_trainer):
    model = model_type(caches=CacheConfig())
    Quaterion.fit(model, make_trainer(max_epochs=1), GroupSimilarityDataLoader(group_data, batch_size=16))
    assert copy.deepcopy(model).embedding_stores["default"] is model.embedding_stores["default"]


def test_a_plain_loop_over_prepared_batches_trains(model_type, group_data):
    torch.manual_seed(0)
    model = model_type(caches=CacheConfig(), lr=0.05)
    batches = prepare_batches(model, GroupSimilarityDataLoader(group_data, batch_size=50))
    optimizer = model.configure_optimizers()
    values = []
    for _ in range(40):
        for batch in batches:
            loss = model.compute_loss(model.embed(batch.features), batch.targets)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            values.append(float(loss.detach()))
    assert values[-1] < values[0] - 0.1
