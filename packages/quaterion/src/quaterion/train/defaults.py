"""Sensible arguments for a Trainer."""

from typing import Any

from quaterion.train.lightning import pl
from quaterion.train.trainable_model import TrainableModel

__all__ = ["trainer_defaults"]

LOG_EVERY_N_STEPS = 50


def trainer_defaults(trainable_model: TrainableModel | None = None, train_dataloader: Any = None) -> dict[str, Any]:
    """Arguments for `pl.Trainer(**...)` that suit the training of a head.

    Args:
        trainable_model: The model to train, if known: one that caches its encoders trains for more epochs, which
            then cost little.
        train_dataloader: The training data, if known: short epochs are logged more often.

    Returns:
        `accelerator`, `devices`, `max_epochs`, `log_every_n_steps`, and `callbacks`: a progress bar, early stopping on
        the validation loss (which does nothing without validation data), and a model summary.

    Example:
        >>> sorted(trainer_defaults())
        ['accelerator', 'callbacks', 'devices', 'log_every_n_steps', 'max_epochs']
    """
    cached = trainable_model is not None and trainable_model.configure_caches() is not None
    try:
        steps = len(train_dataloader)
    except TypeError:  # none given, or an iterable data set without a length
        steps = LOG_EVERY_N_STEPS
    return {
        "accelerator": "auto",
        "devices": 1,
        "max_epochs": 200 if cached else 10,
        "log_every_n_steps": max(1, min(LOG_EVERY_N_STEPS, steps)),
        "callbacks": [
            pl.callbacks.RichProgressBar(),
            # Checked after validation only: where there is none it never runs, and never complains.
            pl.callbacks.EarlyStopping("validation_loss", patience=3, check_on_train_epoch_end=False),
            pl.callbacks.RichModelSummary(max_depth=3),
        ],
    }
