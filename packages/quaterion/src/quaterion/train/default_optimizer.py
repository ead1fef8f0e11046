"""The optimizer of models that configure none."""

import math
from typing import Any

import torch

from quaterion.train.learning_rate import learning_rate_factor
from quaterion.train.parameter_groups import parameter_groups

__all__ = ["default_optimizer", "default_parameter_groups"]


def default_optimizer(model: Any) -> Any:
    """AdamW as the attributes of a `TrainableModel` say.

    Args:
        model: The model.

    Returns:
        What `configure_optimizers` returns: an optimizer, or a dictionary of it and its scheduler.
    """
    optimizer = torch.optim.AdamW(default_parameter_groups(model), lr=model.lr, weight_decay=model.weight_decay)
    if not model.warmup_steps and model.lr_schedule == "constant":
        return optimizer
    factor = learning_rate_factor(model.warmup_steps, model.lr_schedule, _number_of_steps(model))
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
    return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}


def default_parameter_groups(model: Any) -> list[dict[str, Any]]:
    """All that is trained, in groups with the learning rates of the default optimizer.

    Args:
        model: The model.

    Raises:
        ValueError: It has a rate that is none, or a decay by layers that are not found.
    """
    return parameter_groups(
        model,
        model.model,
        lr=model.lr,
        weight_decay=model.weight_decay,
        encoder_lr=model.encoder_lr,
        layer_lr_decay=model.layer_lr_decay,
    )


def _number_of_steps(model: Any) -> float:
    try:
        trainer = model.trainer
    except RuntimeError as error:  # no Trainer: a loop of one's own
        if model.lr_schedule != "cosine":
            return math.inf
        raise ValueError(
            "lr_schedule='cosine' needs to know the number of steps, which without a Trainer only your loop knows. "
            "Set lr_schedule='constant', and give the optimizer torch's LambdaLR with "
            "quaterion.train.learning_rate.learning_rate_factor(warmup_steps, 'cosine', total_steps)."
        ) from error
    steps = trainer.estimated_stepping_batches
    return math.inf if steps < 0 else steps  # -1: an iterable data set without a length
