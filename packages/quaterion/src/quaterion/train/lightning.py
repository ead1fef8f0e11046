"""The one place that imports Lightning."""

import logging
import signal
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.plugins.environments import (  # type: ignore[attr-defined]
    SLURMEnvironment,
    TorchElasticEnvironment,
)

__all__ = ["check_trainer", "launched", "pl", "quiet_lightning", "with_ctrl_c", "without_misplaced_warnings"]


@contextmanager
def without_misplaced_warnings() -> Iterator[None]:
    """Silences warnings of Lightning about what is meant to be so in every training of ours."""
    with warnings.catch_warnings():
        # Every TrainableModel can validate; whether there is validation data is the user's choice.
        warnings.filterwarnings("ignore", message="You defined a `validation_step` but have no `val_dataloader`")
        # Frozen encoders stay in eval mode.
        warnings.filterwarnings("ignore", message=r"Found \d+ module\(s\) in eval mode")
        # Several processes get their data from a data module of ours, which may have no validation data.
        warnings.filterwarnings("ignore", message=r"You have overridden `\w+` in `LightningModule` but")
        warnings.filterwarnings("ignore", message="Total length of `list` across ranks is zero")
        # Its own code, on today's torch.
        warnings.filterwarnings("ignore", message="torch.distributed.nn.functional.all_gather is deprecated")
        warnings.filterwarnings("ignore", message=".*LeafSpec.*", category=FutureWarning)
        yield


@contextmanager
def quiet_lightning() -> Iterator[None]:
    """Keeps Lightning from telling which hardware it found, and what will change in its own code."""
    logger = logging.getLogger("pytorch_lightning")
    level = logger.level
    logger.setLevel(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module="pytorch_lightning")
            yield
    finally:
        logger.setLevel(level)


@contextmanager
def with_ctrl_c(trainer: pl.Trainer) -> Iterator[None]:
    """Lets Ctrl-C during a training be what it is: Lightning turns it into `sys.exit(1)`, and ignores any further one.

    Args:
        trainer: What trains.

    Raises:
        KeyboardInterrupt: The user stopped the training.
    """
    handler = signal.getsignal(signal.SIGINT)
    try:
        yield
    except SystemExit:
        if not trainer.interrupted:
            raise
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, handler)
        raise KeyboardInterrupt from None


def launched() -> tuple[str, int]:
    """Which launcher has started this process, and how many it has started: what Lightning itself would find.

    Returns:
        "torchrun" or "srun" and its processes; "" and 1 where there is none.
    """
    for launcher, environment in (("torchrun", TorchElasticEnvironment), ("srun", SLURMEnvironment)):
        if environment.detect():
            return launcher, environment().world_size()
    return "", 1


def check_trainer(trainer: Any) -> None:
    """Refuses what is no Trainer of `pytorch_lightning`, above all the Trainer of its twin package.

    Args:
        trainer: What the user passed.

    Raises:
        TypeError: It is something else.
    """
    if isinstance(trainer, pl.Trainer):
        return
    kind = f"{type(trainer).__module__}.{type(trainer).__qualname__}"
    if kind.startswith("lightning."):
        raise TypeError(
            f"Quaterion.fit got a {kind}, the Trainer of the package `lightning`, whose classes do not mix with those "
            "of its twin `pytorch_lightning`, which Quaterion uses. Import it with "
            "`import pytorch_lightning as pl` and pass a pl.Trainer."
        )
    raise TypeError(f"Quaterion.fit got trainer={trainer!r}; expected a pytorch_lightning.Trainer, or None.")
