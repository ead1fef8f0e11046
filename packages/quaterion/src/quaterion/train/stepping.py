"""The short way through a training step: backward and optimizer called directly, and a log that does not cost a step.

With cached vectors a step takes about a millisecond, of which Lightning's automatic optimization and a `self.log`
would take another one. Where a Trainer asks for nothing that needs them, the model makes its own steps, inside the loop
that Lightning has for manual optimization. Counters, schedulers, checkpoints and hooks are those of automatic
optimization, so a run may stop with one and go on with the other.
"""

import inspect
from typing import Any

import torch
from torch import Tensor

from quaterion.train.lightning import pl

__all__ = ["OwnSteps", "logs_every_step", "may_step_itself"]

_MODULE_HOOKS = (
    "backward",
    "configure_gradient_clipping",
    "lr_scheduler_step",
    "on_after_backward",
    "on_before_backward",
    "on_before_optimizer_step",
    "on_before_zero_grad",
    "optimizer_step",
    "optimizer_zero_grad",
)
_CALLBACK_HOOKS = ("on_after_backward", "on_before_backward", "on_before_optimizer_step", "on_before_zero_grad")
_OWN_METHODS = ("on_train_batch_start", "training_step")


def may_step_itself(model: pl.LightningModule, trainer: Any, base: type[pl.LightningModule]) -> bool:
    """Whether nothing that a user has set needs Lightning's automatic optimization.

    Args:
        model: The model.
        trainer: Its Trainer, with optimizers set up.
        base: The class whose training step knows the short way.

    Returns:
        False where gradients are accumulated or clipped, anything but one device in full precision is used, or the
        model, a callback or a profiler looks into the steps.
    """
    plain_trainer = (
        trainer.accumulate_grad_batches == 1
        and not trainer.gradient_clip_val
        and type(trainer.strategy) is pl.strategies.SingleDeviceStrategy
        and type(trainer.precision_plugin) is pl.plugins.Precision
        and type(trainer.profiler) is pl.profilers.PassThroughProfiler
        and not trainer.fit_loop._skip_backward  # noqa: SLF001 - set for the last pass of weight averaging
        and len(trainer.optimizers) == 1
        and _steps_without_closure(trainer.optimizers[0])
    )
    untouched = all(getattr(type(model), name) is getattr(pl.LightningModule, name) for name in _MODULE_HOOKS)
    own = all(getattr(type(model), name) is getattr(base, name) for name in _OWN_METHODS)
    own = own and not vars(model).keys() & {*_MODULE_HOOKS, *_OWN_METHODS}
    unseen = not any(
        getattr(type(callback), name) is not getattr(pl.Callback, name)
        for callback in trainer.callbacks
        for name in _CALLBACK_HOOKS
    )
    scheduled = any(isinstance(one, pl.callbacks.GradientAccumulationScheduler) for one in trainer.callbacks)
    return plain_trainer and untouched and own and unseen and not scheduled


def _steps_without_closure(optimizer: torch.optim.Optimizer) -> bool:
    closure = inspect.signature(type(optimizer).step).parameters.get("closure")
    return closure is None or closure.default is not inspect.Parameter.empty


class OwnSteps:
    """Steps of the one optimizer of a Trainer, counted where automatic optimization counts its own.

    Args:
        trainer: The Trainer.
    """

    def __init__(self, trainer: Any) -> None:
        self._trainer = trainer
        self._progress = trainer.fit_loop.epoch_loop.automatic_optimization.optim_progress.optimizer

    @property
    def possible(self) -> bool:
        """Whether nobody has asked for accumulation or clipping since the epoch began."""
        return self._trainer.accumulate_grad_batches == 1 and not self._trainer.gradient_clip_val

    def step(self, loss: Tensor) -> None:
        """Goes from a loss to new parameters.

        Args:
            loss: A scalar with a gradient.
        """
        optimizer = self._trainer.optimizers[0]  # looked up each time: callbacks may replace it
        self._progress.zero_grad.increment_ready()
        optimizer.zero_grad()
        self._progress.zero_grad.increment_completed()
        loss.backward()  # type: ignore[no-untyped-call]
        self._progress.step.increment_ready()
        optimizer.step()
        self._progress.step.increment_completed()


_INDIFFERENT = (
    pl.callbacks.ProgressBar,
    pl.callbacks.EarlyStopping,
    pl.callbacks.LearningRateMonitor,
    pl.callbacks.ModelSummary,
    pl.callbacks.Timer,
)


def logs_every_step(trainer: Any) -> bool:
    """Whether somebody may read `train_loss` after any step, not only after those that are logged.

    Args:
        trainer: The Trainer.

    Returns:
        True where validation runs within an epoch, a scheduler looks at a metric after each step, or a callback acts
        after each step: other than progress bars, which may show a loss some steps old, and callbacks of Lightning's
        that read metrics at the end of an epoch.
    """

    def reads(callback: pl.Callback) -> bool:
        if isinstance(callback, _INDIFFERENT):
            return type(callback).__module__.partition(".")[0] != "pytorch_lightning"
        if type(callback) is pl.callbacks.ModelCheckpoint:
            return bool(callback._every_n_train_steps) or callback._train_time_interval is not None  # noqa: SLF001
        return type(callback).on_train_batch_end is not pl.Callback.on_train_batch_end

    validates_within = trainer.check_val_every_n_epoch is None or trainer.val_check_batch < trainer.num_training_batches
    steps_by_metric = any(one.reduce_on_plateau and one.interval == "step" for one in trainer.lr_scheduler_configs)
    return validates_within or steps_by_metric or any(map(reads, trainer.callbacks))
