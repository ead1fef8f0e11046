"""The final measurement: the test set, looked at once, before and after."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from quaterion.functional.bootstrap import (
    Interval,
    bootstrap_mean,
    bootstrap_statistic,
    percentile_interval,
    resampled,
)
from quaterion.tuning.search.scoring import Score, statistic_of

__all__ = ["Measurement", "measured"]


@dataclass(frozen=True)
class Measurement:
    """A metric on the test set, with intervals of 95 %.

    Args:
        metric: Its name.
        before: Of the untouched encoder.
        after: Of the result.
        difference: After minus before, over the same resamples.
        count: Queries or pairs.

    Example:
        >>> one = Interval(0.5, 0.4, 0.6)
        >>> print(Measurement("accuracy", one, one, Interval(0.0, -0.1, 0.1), 20))
        accuracy 0.500 -> 0.500 (+0.000, 95 % interval -0.100 to +0.100) on 20 test samples
    """

    metric: str
    before: Interval
    after: Interval
    difference: Interval
    count: int

    def __str__(self) -> str:
        difference = self.difference
        return (
            f"{self.metric} {self.before.value:.3f} -> {self.after.value:.3f} ({difference.value:+.3f}, 95 % interval "
            f"{difference.low:+.3f} to {difference.high:+.3f}) on {self.count:,} test samples"
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        intervals = {name: getattr(self, name)._asdict() for name in ("before", "after", "difference")}
        return {"metric": self.metric, **intervals, "count": self.count}


def measured(metric: str, before: Score, after: Score, *, seed: int) -> Measurement:
    """Intervals of two scores over the same test samples.

    Args:
        metric: The metric.
        before: Of the untouched encoder.
        after: Of the result.
        seed: Seed of the resampling.
    """
    if before.per_query is not None and after.per_query is not None:
        first, second = before.per_query, after.per_query
        of_first, of_second, difference = (bootstrap_mean(one, seed=seed) for one in (first, second, second - first))
        return Measurement(metric, of_first, of_second, difference, len(first))
    functions = [_statistic(metric, score) for score in (before, after)]
    assert after.scored is not None  # noqa: S101 - a score without queries has pairs
    count = len(after.scored[0])
    values = resampled(functions, count, seed=seed)
    own = [bootstrap_statistic(function, count, seed=seed) for function in functions]
    difference = percentile_interval(after.value - before.value, values[1] - values[0])
    return Measurement(metric, own[0], own[1], difference, count)


def _statistic(metric: str, score: Score) -> Callable[[Tensor], Tensor]:
    assert score.scored is not None  # noqa: S101 - a score without queries has pairs
    return partial(statistic_of(metric), *score.scored)


def of_correct(correct: Tensor) -> Score:
    """The score of predictions of groups.

    Args:
        correct: Whether each is right, bool `[Q]`.
    """
    values = correct.to(torch.float64).cpu()
    return Score(float(values.mean()), per_query=values)
