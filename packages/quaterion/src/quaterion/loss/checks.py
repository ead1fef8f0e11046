"""Checks of hyper-parameters, made when a loss is built."""

import math
from collections.abc import Sequence

from torch import Tensor

from quaterion.distances import Distance

__all__ = [
    "check_choice",
    "check_count",
    "check_distance_can_be_squared",
    "check_non_negative",
    "check_positive",
    "check_scores",
]


def check_choice(name: str, value: str, allowed: Sequence[str]) -> str:
    """Return the value if it is one of the allowed ones.

    Args:
        name: The argument's name, for the message.
        value: What was passed.
        allowed: What may be passed.

    Returns:
        The value.

    Raises:
        ValueError: If it is none of them.
    """
    if value not in allowed:
        raise ValueError(f"unknown {name} {value!r}: expected one of {', '.join(map(repr, allowed))}")
    return value


def check_positive(name: str, value: float) -> float:
    """Return the value if it is a finite number above 0, else raise a ValueError that names it."""
    if not math.isfinite(value) or value <= 0:
        raise ValueError(f"{name} must be a finite number greater than 0, got {value!r}")
    return value


def check_non_negative(name: str, value: float) -> float:
    """Return the value if it is a finite number of at least 0, else raise a ValueError that names it."""
    if not math.isfinite(value) or value < 0:
        raise ValueError(f"{name} must be a finite number of at least 0, got {value!r}")
    return value


def check_count(name: str, value: int) -> int:
    """Return the value if it is a whole number of at least 1, else raise a ValueError that names it."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ValueError(f"{name} must be a whole number of at least 1, got {value!r}")
    return value


def check_distance_can_be_squared(loss: str, distance: Distance) -> None:
    """Refuse the dot product, whose distances can be negative, for a loss that squares distances."""
    if distance is Distance.DOT_PRODUCT:
        raise ValueError(
            f"{loss} squares distances, and dot_product distances can be negative: use cosine, euclidean or manhattan"
        )


def check_scores(loss: str, scores: Tensor, low: float, high: float) -> None:
    """Refuse scores of a data set's pairs that lie outside [low, high] or are not numbers."""
    wrong = scores[~((scores >= low) & (scores <= high))]
    if len(wrong):
        raise ValueError(
            f"{loss} needs scores in [{low:g}, {high:g}], but {len(wrong)} of {len(scores)} pairs have another score, "
            f"the first {wrong[0].item():g}: rescale them, for example score / 5 for marks from 0 to 5"
        )
