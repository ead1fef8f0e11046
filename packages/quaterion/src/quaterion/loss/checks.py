"""Checks of hyper-parameters, made when a loss is built."""

import math
from collections.abc import Sequence
from typing import Any

from torch import Tensor

from quaterion.distances import Distance
from quaterion.loss.similarity_loss import SimilarityLoss
from quaterion.utils.numbers import is_number, is_whole_number

__all__ = [
    "check_choice",
    "check_count",
    "check_distance_can_be_squared",
    "check_finite",
    "check_is_loss",
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


def check_finite(name: str, value: float) -> float:
    """Return the value as a float if it is a finite number, else raise a ValueError that names it."""
    if not _is_finite(value):
        raise ValueError(f"{name} must be a finite number, got {value!r}")
    return float(value)


def check_positive(name: str, value: float) -> float:
    """Return the value as a float if it is a finite number above 0, else raise a ValueError that names it."""
    if not _is_finite(value) or value <= 0:
        raise ValueError(f"{name} must be a finite number greater than 0, got {value!r}")
    return float(value)


def check_non_negative(name: str, value: float) -> float:
    """Return the value as a float if it is a finite number of at least 0, else raise a ValueError that names it."""
    if not _is_finite(value) or value < 0:
        raise ValueError(f"{name} must be a finite number of at least 0, got {value!r}")
    return float(value)


def check_count(name: str, value: int) -> int:
    """Return the value as an int if it is a whole number of at least 1, else raise a ValueError that names it."""
    if not is_whole_number(value) or value < 1:
        raise ValueError(f"{name} must be a whole number of at least 1, got {value!r}")
    return int(value)


def check_is_loss(role: str, value: Any) -> SimilarityLoss:
    """Return the value if it is a loss, else raise a TypeError that says what it is instead.

    Args:
        role: What the loss is for, for the message.
        value: What was passed.

    Returns:
        The loss.

    Raises:
        TypeError: If it is no loss; a class of losses, say.
    """
    if isinstance(value, SimilarityLoss):
        return value
    received = f"the class {value.__name__}" if isinstance(value, type) else type(value).__name__
    raise TypeError(f"{role} must be a loss object, such as TripletLoss(), got {received}")


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


def _is_finite(value: Any) -> bool:
    return is_number(value) and math.isfinite(value)
