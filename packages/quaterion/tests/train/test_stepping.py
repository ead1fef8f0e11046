"""Steps that the model makes itself equal those of Lightning's automatic optimization, and give way where they must."""

import csv
from pathlib import Path

import pytest
import pytorch_lightning as pl
import torch

from quaterion import Quaterion
from quaterion.dataset import GroupSimilarityDataLoader
from quaterion.train.cache import CacheConfig
from quaterion.train.trainable_model import TrainableModel
from quaterion_models.heads import SequentialHead


class LooksIntoSteps(pl.Callback):
    """Needs automatic optimization, and so forces it."""

    def on_after_backward(self, trainer, pl_module):
        pass


class Watch(pl.Callback):
    """Notes what callbacks can see after every step."""

    def __init__(self):
        self.seen = []

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        self.seen.append(trainer.global_step)

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        lr = trainer.optimizers[0].param_groups[0]["lr"]
        self.seen.append(
            (trainer.global_step, lr, float(outputs["loss"]), float(trainer.callback_metrics["train_loss"]))
        )


def adam_with(scheduler):
    def configure_optimizers(self):
        optimizer = torch.optim.Adam(self.parameters(), 1e-2)
        return {"optimizer": optimizer, "lr_scheduler": scheduler(optimizer)}

    return configure_optimizers


lr = torch.optim.lr_scheduler
OPTIMIZERS = {
    "default": None,
    "default, cosine": {"lr_schedule": "cosine", "warmup_steps": 3},
    "by epoch": {"configure_optimizers": adam_with(lambda one: lr.ExponentialLR(one, 0.5))},
    "plateau": {
        "configure_optimizers": adam_with(
            lambda one: {"scheduler": lr.ReduceLROnPlateau(one, patience=0), "monitor": "validation_loss"}
        )
    },
}


def train(model_type, data, make_trainer, *, automatic, attributes=None, ckpt_path=None, seed=1, **settings):
    torch.manual_seed(seed)
    kind = type("Variant", (model_type,), attributes or {})
    model = kind(caches=CacheConfig())
    watch = Watch()
    callbacks = [watch, *([LooksIntoSteps()] if automatic else []), *settings.pop("callbacks", [])]
    trainer = make_trainer(**{"max_epochs": 3} | settings, callbacks=callbacks)
    own = []
    original = model.on_train_epoch_end
    model.on_train_epoch_end = lambda: (own.append(model._own_steps is not None), original())
    loader = GroupSimilarityDataLoader(data, batch_size=16, shuffle=True)
    validation = GroupSimilarityDataLoader(data, batch_size=16)
    Quaterion.fit(model, trainer, loader, validation, ckpt_path=ckpt_path)
    assert model.automatic_optimization and model._own_steps is None
    return model, trainer, watch.seen, all(own)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_own_steps_equal_automatic_optimization(name, model_type, group_data, make_trainer):
    runs = [
        train(model_type, group_data, make_trainer, automatic=automatic, attributes=OPTIMIZERS[name])
        for automatic in (False, True)
    ]
    (ours, our_trainer, our_seen, own), (theirs, their_trainer, their_seen, not_own) = runs
    assert own and not not_own
    assert our_seen == their_seen and len(our_seen) == 2 * 3 * 4
    assert our_trainer.global_step == their_trainer.global_step == 12
    assert ours.steps == theirs.steps
    for one, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert torch.equal(one, other)
    assert our_trainer.callback_metrics == their_trainer.callback_metrics


@pytest.mark.parametrize("first", [False, True])
def test_a_run_may_stop_with_one_and_go_on_with_the_other(first, model_type, group_data, make_trainer, tmp_path):
    kept = {"lr_schedule": "cosine", "warmup_steps": 2}
    whole = train(model_type, group_data, make_trainer, automatic=False, attributes=kept, max_steps=16, max_epochs=-1)
    _, half, _, _ = train(
        model_type, group_data, make_trainer, automatic=first, attributes=kept, max_steps=16, max_epochs=2
    )
    half.save_checkpoint(tmp_path / "half.ckpt")
    resumed = train(
        model_type, group_data, make_trainer, automatic=not first, attributes=kept, max_steps=16, max_epochs=-1,
        ckpt_path=tmp_path / "half.ckpt", seed=5,
    )  # fmt: skip
    assert resumed[1].global_step == 16 and resumed[3] is first
    rates = [[entry[1] for entry in run[2] if isinstance(entry, tuple)] for run in (whole, resumed)]
    assert rates[1] == rates[0][8:]
    assert [step for step in resumed[2] if isinstance(step, int)] == list(range(8, 16))


class Hook(pl.Callback):
    def on_before_optimizer_step(self, trainer, pl_module, optimizer):
        pass


@pytest.mark.parametrize(
    ("settings", "attributes"),
    [
        ({"gradient_clip_val": 0.1}, {}),
        ({"accumulate_grad_batches": 2}, {}),
        ({"precision": "bf16-mixed"}, {}),
        ({"callbacks": [Hook()]}, {}),
        ({"callbacks": [pl.callbacks.GradientAccumulationScheduler({0: 1, 1: 2})]}, {}),
        ({"profiler": "simple"}, {}),
        ({}, {"on_before_zero_grad": lambda self, optimizer: None}),
        ({}, {"optimizer_step": lambda self, epoch, idx, optimizer, closure: optimizer.step(closure)}),
        ({}, {"configure_optimizers": lambda self: torch.optim.LBFGS(self.parameters(), lr=1e-2, max_iter=2)}),
        ({}, {"training_step": lambda self, batch, idx: TrainableModel.training_step(self, batch, idx)}),
    ],
)
def test_whatever_looks_into_the_steps_gets_automatic_optimization(
    settings, attributes, model_type, group_data, make_trainer
):
    _, trainer, seen, own = train(
        model_type, group_data, make_trainer, automatic=False, attributes=attributes, **settings
    )
    assert not own and trainer.global_step > 0 and seen


class Replaces(pl.Callback):
    """Changes, when the second epoch begins, what decides about the steps."""

    def __init__(self, change):
        self.change = change

    def on_train_epoch_start(self, trainer, pl_module):
        if trainer.current_epoch == 1:
            self.change(trainer)


def freeze(trainer):
    trainer.strategy.optimizers = [torch.optim.SGD(trainer.lightning_module.parameters(), lr=0.0)]


def clip(trainer):
    trainer.gradient_clip_val = 1e-3


def accumulate(trainer):
    trainer.accumulate_grad_batches = 2


@pytest.mark.parametrize("change", [freeze, clip, accumulate])
def test_what_a_callback_changes_between_epochs_counts(change, model_type, group_data, make_trainer):
    runs = [
        train(model_type, group_data, make_trainer, automatic=automatic, callbacks=[Replaces(change)])
        for automatic in (False, True)
    ]
    assert runs[0][1].global_step == runs[1][1].global_step
    for one, other in zip(runs[0][0].parameters(), runs[1][0].parameters(), strict=True):
        assert torch.equal(one, other)


def with_batch_norm(size):
    return SequentialHead(torch.nn.Linear(size, size), torch.nn.BatchNorm1d(size), output_size=size)


def test_the_last_pass_of_weight_averaging_trains_nothing(model_type, group_data, make_trainer):
    runs = []
    for automatic in (False, True):
        torch.manual_seed(1)
        model = model_type(caches=CacheConfig(), head=with_batch_norm)
        averaging = pl.callbacks.StochasticWeightAveraging(swa_lrs=1e-2, swa_epoch_start=1)
        trainer = make_trainer(max_epochs=4, callbacks=[averaging, *([LooksIntoSteps()] if automatic else [])])
        Quaterion.fit(model, trainer, GroupSimilarityDataLoader(group_data, batch_size=16, shuffle=True))
        runs.append((trainer.global_step, *[parameter.detach() for parameter in model.parameters()]))
    assert runs[0][0] == runs[1][0]
    for one, other in zip(runs[0][1:], runs[1][1:], strict=True):
        assert torch.equal(one, other)


def test_hooks_put_on_the_model_itself_are_called(model_type, group_data, make_trainer):
    model = model_type(caches=CacheConfig())
    called = []
    model.on_before_optimizer_step = lambda optimizer: called.append(1)
    Quaterion.fit(model, make_trainer(max_epochs=1), GroupSimilarityDataLoader(group_data, batch_size=16))
    assert len(called) == 4


def test_the_loss_is_fresh_where_validation_comes_within_an_epoch(model_type, group_data, make_trainer):
    class ReadsAtValidation(pl.Callback):
        def __init__(self):
            self.seen = []

        def on_validation_end(self, trainer, pl_module):
            self.seen.append(float(trainer.callback_metrics["train_loss"]))

    reader = ReadsAtValidation()
    loader = GroupSimilarityDataLoader(group_data, batch_size=5, shuffle=True)
    model = model_type(caches=CacheConfig())
    Quaterion.fit(model, make_trainer(max_epochs=1, callbacks=[reader], val_check_interval=3), loader, loader)
    assert len(set(reader.seen)) == len(reader.seen) >= 3


class Quiet(pl.Callback):
    """Looks at no step."""


def test_steps_that_nobody_reads_are_not_logged_and_those_of_loggers_and_epochs_are(
    model_type, group_data, make_trainer, tmp_path
):
    logged = {}
    for name, callbacks in {"quiet": [Quiet()], "watched": [Watch()]}.items():
        torch.manual_seed(1)
        model = model_type(caches=CacheConfig())
        count = []
        original = model.log
        model.log = lambda name, *args, original=original, count=count, **rest: (
            count.append(name), original(name, *args, **rest),
        )  # fmt: skip
        logger = pl.loggers.CSVLogger(tmp_path / name)
        trainer = make_trainer(max_epochs=3, callbacks=callbacks, logger=logger, log_every_n_steps=3)
        Quaterion.fit(model, trainer, GroupSimilarityDataLoader(group_data, batch_size=5, shuffle=True))
        with (Path(logger.log_dir) / "metrics.csv").open() as stream:
            values = [(row["step"], row["train_loss"]) for row in csv.DictReader(stream) if row["train_loss"]]
        logged[name] = count.count("train_loss"), values, float(trainer.callback_metrics["train_loss"])
    assert logged["watched"][0] == 30
    assert logged["quiet"][0] == 1 + 3 + 10 - 1  # the first, each epoch's last, every third; the 30th counts once
    assert logged["quiet"][1:] == logged["watched"][1:] and len(logged["quiet"][1]) >= 10


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")  # of torch, about its own code
def test_head_and_loss_can_be_compiled(model_type, group_data, make_trainer):
    runs = [
        train(
            model_type, group_data, make_trainer, automatic=False, attributes={"compile_step": compiled}, max_epochs=2
        )
        for compiled in (False, True)
    ]
    losses = [[entry[2] for entry in run[2] if isinstance(entry, tuple)] for run in runs]
    assert len(losses[0]) == 8 and losses[1] == pytest.approx(losses[0], rel=0.5)
