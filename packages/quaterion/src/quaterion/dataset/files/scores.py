"""Scores of pairs: reading them, and bringing them to 0 to 1."""

import math
from collections.abc import Sequence
from typing import Any

from quaterion.dataset.similarity_samples import SimilarityPairSample

__all__ = ["rescale_scores", "score_of"]

WORDS = {"true": 1.0, "yes": 1.0, "false": 0.0, "no": 0.0}


def score_of(value: Any) -> float | str:
    """Reads a score.

    Args:
        value: What a field holds.

    Returns:
        The score, or what is wrong with it.

    Example:
        >>> score_of("0.5"), score_of("yes"), score_of("0,5")
        (0.5, 1.0, "'0,5' is no number; expected one such as 0.5")
    """
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        word = WORDS.get(str(value).strip().lower())
        return f"{value!r:.60} is no number; expected one such as 0.5" if word is None else word
    return number if math.isfinite(number) else f"{value!r:.60} is not finite; expected a number such as 0.5"


def rescale_scores(
    samples: Sequence[SimilarityPairSample], score_range: tuple[float, float] | None, name: str, column: str
) -> tuple[float, float]:
    """Brings scores to 0 to 1, in place.

    Args:
        samples: Pairs with their scores as they were read.
        score_range: The scores that are to become 0 and 1; None to choose them.
        name: Where the samples come from, for messages.
        column: The column of scores, for messages.

    Returns:
        The scores that became 0 and 1.

    Raises:
        ValueError: Scores lie outside of the range, or none fits them.
    """
    scores = [sample.score for sample in samples]
    found = f"The scores in the column {column!r} of {name} go from {min(scores):g} to {max(scores):g}"
    if score_range is None:
        low, high = 0.0, _top(max(scores))
        if min(scores) < 0 or not high:
            raise ValueError(f"{found}. Say which scores mean 0 and 1: score_range=(-1, 1), or --score-range -1 1.")
    else:
        low, high = map(float, score_range)
        if not low < high:
            raise ValueError(f"score_range={score_range}; expected the lowest and the highest score, such as (0, 5).")
        if min(scores) < low or max(scores) > high:
            raise ValueError(f"{found}, beyond score_range=({low:g}, {high:g}). Give a range that holds them all.")
    if (low, high) != (0.0, 1.0):
        for sample, score in zip(samples, scores, strict=True):
            sample.score = (score - low) / (high - low)
    return low, high


def _top(highest: float) -> float:
    """The highest score that a scale may have, 0 where none is likely."""
    if highest <= 10:
        return max(1.0, math.ceil(highest))
    return 100.0 if highest <= 100 else 0.0
