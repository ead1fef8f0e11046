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
_OWN_METHODS = ("on_before_batch_transfer", "training_step", "transfer_batch_to_device")


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
        and len(trainer.optimizers) == 1
        and _steps_without_closure(trainer.optimizers[0])
    )
    untouched = all(getattr(type(model), name) is getattr(pl.LightningModule, name) for name in _MODULE_HOOKS)
    own = all(getattr(type(model), name) is getattr(base, name) for name in _OWN_METHODS)
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
        self._optimizer = trainer.optimizers[0]
        loop = trainer.fit_loop.epoch_loop
        self._progress = loop.automatic_optimization.optim_progress.optimizer
        # What `global_step` reads while the loop takes the optimization for a manual one.
        self._manual_progress = loop.manual_optimization.optim_step_progress.total
        self._manual_progress.completed = self._progress.step.total.completed

    @property
    def training(self) -> bool:
        """Whether the Trainer trains right now, and does not validate."""
        return bool(self._trainer.training)

    def step(self, loss: Tensor) -> None:
        """Goes from a loss to new parameters.

        Args:
            loss: A scalar with a gradient.
        """
        self._progress.zero_grad.increment_ready()
        self._optimizer.zero_grad()
        self._progress.zero_grad.increment_completed()
        loss.backward()  # type: ignore[no-untyped-call]
        self._progress.step.increment_ready()
        self._optimizer.step()
        self._progress.step.increment_completed()
        self._manual_progress.completed = self._progress.step.total.completed


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
        True where a callback acts after each training step, other than progress bars, which may show a loss some steps
        old, and callbacks of Lightning's that read metrics at the end of an epoch.
    """

    def reads(callback: pl.Callback) -> bool:
        if isinstance(callback, _INDIFFERENT):
            return type(callback).__module__.partition(".")[0] != "pytorch_lightning"
        if type(callback) is pl.callbacks.ModelCheckpoint:
            return bool(callback._every_n_train_steps) or callback._train_time_interval is not None  # noqa: SLF001
        return type(callback).on_train_batch_end is not pl.Callback.on_train_batch_end

    return any(map(reads, trainer.callbacks))
