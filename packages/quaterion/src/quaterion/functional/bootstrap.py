"""How much a mean over queries would vary if other queries had been drawn."""

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

__all__ = ["Interval", "bootstrap_mean", "bootstrap_statistic"]


class Interval(NamedTuple):
    """A value and the interval it lies in.

    Args:
        value: The estimate.
        low: Lower end.
        high: Upper end.
    """

    value: float
    low: float
    high: float


def bootstrap_mean(
    values: Tensor,
    *,
    confidence: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
    max_entries: int = 2**22,
) -> Interval:
    """Mean with its percentile bootstrap interval: quantiles of the means of samples drawn with replacement.

    Args:
        values: One value for each query `[Q]`; NaN (a query with nothing relevant) is left out.
        confidence: Probability that the interval is to have, in (0, 1).
        resamples: Number of samples drawn, each as large as `values`.
        seed: Seed of the draw. Equal seeds draw equal queries, whatever the values.
        max_entries: Bound on the drawn values held at once.

    Returns:
        The mean and the ends of the interval.

    Raises:
        ValueError: There is no value, or an argument is out of range.

    Paper: Efron, Bootstrap Methods: Another Look at the Jackknife (Annals of Statistics 1979).

    Example:
        >>> found = torch.tensor([1.0] * 40 + [0.0] * 60)
        >>> interval = bootstrap_mean(found)  # the normal approximation gives 0.40 ± 0.096
        >>> round(interval.value, 2), 0.28 < interval.low < 0.33, 0.47 < interval.high < 0.52
        (0.4, True, True)
    """
    _check_options(confidence, resamples)
    if values.ndim != 1:
        raise ValueError(f"values has the shape {tuple(values.shape)}; expected one value for each query, [Q].")
    values = values.detach().to("cpu", torch.float64)
    values = values[~values.isnan()]
    if not len(values):
        raise ValueError("There is no value to take a mean of. Expected at least one query with something relevant.")
    generator = torch.Generator().manual_seed(seed)
    means = torch.empty(resamples, dtype=torch.float64)
    for part in torch.split(means, max(1, max_entries // len(values))):
        drawn = torch.randint(len(values), (len(part), len(values)), generator=generator)
        part.copy_(values[drawn].mean(dim=1))
    return Interval(float(values.mean()), *_ends(means, confidence))


def bootstrap_statistic(
    statistic: Callable[[Tensor], float],
    count: int,
    *,
    confidence: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
) -> Interval:
    """A statistic of a whole set with its percentile bootstrap interval, where it is no mean of single values.

    Args:
        statistic: Takes rows of the set, int64 `[count]` (some more than once), and gives the value over them; NaN
            where they have none, as a correlation has none where all scores are equal. Such samples are left out.
        count: Rows of the set.
        confidence: Probability that the interval is to have, in (0, 1).
        resamples: Number of samples drawn; the statistic is computed once for each.
        seed: Seed of the draw. Equal seeds draw equal rows, whatever the statistic.

    Returns:
        The value over the set and the ends of the interval.

    Raises:
        ValueError: There is no row, the statistic has no value, or an argument is out of range.

    Example:
        >>> values = torch.tensor([1.0, 2.0, 3.0, 4.0, 100.0])
        >>> median = bootstrap_statistic(lambda rows: float(values[rows].median()), 5, resamples=200)
        >>> median.value, 1.0 <= median.low < 3.0 < median.high <= 100.0
        (3.0, True)
    """
    _check_options(confidence, resamples)
    if count < 1:
        raise ValueError("There is no row to draw. Expected at least one.")
    value = statistic(torch.arange(count))
    generator = torch.Generator().manual_seed(seed)
    drawn = (torch.randint(count, (count,), generator=generator) for _ in range(resamples))
    values = torch.tensor([statistic(rows) for rows in drawn], dtype=torch.float64)
    values = values[~values.isnan()]
    if math.isnan(value) or not len(values):
        raise ValueError(
            f"The statistic has no value over these {count} rows, or over none of {resamples} samples of them. "
            "Expected rows that differ: use more of the data."
        )
    return Interval(value, *_ends(values, confidence))


def _check_options(confidence: float, resamples: int) -> None:
    if not 0 < confidence < 1:
        raise ValueError(f"confidence={confidence}; expected a probability between 0 and 1, such as 0.95.")
    if resamples < 1:
        raise ValueError(f"resamples={resamples}; expected 1 or more, such as 2000.")


def _ends(values: Tensor, confidence: float) -> tuple[float, float]:
    tail = (1 - confidence) / 2
    low, high = torch.quantile(values, torch.tensor([tail, 1 - tail], dtype=torch.float64)).tolist()
    return low, high
