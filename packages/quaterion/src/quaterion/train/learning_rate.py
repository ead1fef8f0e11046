"""How the learning rate changes over a training."""

import math
import warnings
from collections.abc import Callable
from typing import Literal

from quaterion.utils.numbers import is_whole_number

__all__ = ["learning_rate_factor"]


def learning_rate_factor(
    warmup_steps: int, schedule: Literal["constant", "cosine"], total_steps: float
) -> Callable[[int], float]:
    """Factor of the learning rate at each step: a linear rise, then a constant or half a cosine.

    Args:
        warmup_steps: Steps of the rise, 0 for none.
        schedule: "constant", or "cosine" for a decay to 0 at the last step.
        total_steps: Steps of the whole training; infinite where it has no end.

    Returns:
        A function of the step, for `torch.optim.lr_scheduler.LambdaLR`.

    Raises:
        ValueError: An unknown schedule, a warm-up that is no number of steps, or a decay without an end.

    Warns:
        UserWarning: The training ends before the warm-up does.

    Example:
        >>> factor = learning_rate_factor(2, "cosine", total_steps=6)
        >>> [round(factor(step), 2) for step in range(7)]
        [0.5, 1.0, 1.0, 0.85, 0.5, 0.15, 0.0]
    """
    if schedule not in {"constant", "cosine"}:
        raise ValueError(f"lr_schedule={schedule!r}; expected 'constant' or 'cosine'.")
    if not is_whole_number(warmup_steps) or warmup_steps < 0:
        raise ValueError(
            f"warmup_steps={warmup_steps!r}; expected a whole number of steps, 0 or more. For a share of the training "
            "multiply it by the number of steps: int(0.1 * steps)."
        )
    if schedule == "cosine" and not math.isfinite(total_steps):
        raise ValueError("lr_schedule='cosine' needs an end to decay to: give the Trainer max_epochs or max_steps.")
    if 0 < warmup_steps >= total_steps:
        warnings.warn(
            f"warmup_steps={warmup_steps}, but the training has {total_steps:g} steps, so that the learning rate only "
            "rises. Choose fewer warm-up steps.",
            stacklevel=2,
        )

    def factor(step: int) -> float:
        if step < warmup_steps:
            return (step + 1) / warmup_steps
        if schedule == "constant":
            return 1.0
        progress = (step - warmup_steps) / max(1.0, total_steps - warmup_steps)
        return 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))

    return factor
