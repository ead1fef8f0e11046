"""How much a mean over queries would vary if other queries had been drawn."""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

__all__ = ["Interval", "bootstrap_mean", "bootstrap_statistic", "percentile_interval", "resampled", "resampled_means"]


class Interval(NamedTuple):
    """A value and the interval it lies in.

    Attributes:
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
    _check_confidence(confidence)
    means = resampled_means(values, resamples=resamples, seed=seed, max_entries=max_entries)
    return Interval(float(_counted(values).mean()), *_ends(means, confidence))


def resampled_means(values: Tensor, *, resamples: int = 2000, seed: int = 0, max_entries: int = 2**22) -> Tensor:
    """Means of samples drawn with replacement.

    Args:
        values: As for `bootstrap_mean`.
        resamples: Number of samples drawn, each as large as `values`.
        seed: Seed of the draw. Equal seeds draw equal queries, whatever the values.
        max_entries: Bound on the drawn values held at once.

    Returns:
        float64 `[resamples]`.

    Raises:
        ValueError: There is no value, or no sample is asked for.
    """
    _check_resamples(resamples)
    values = _counted(values)
    generator = torch.Generator().manual_seed(seed)
    means = torch.empty(resamples, dtype=torch.float64)
    for part in torch.split(means, max(1, max_entries // len(values))):
        drawn = torch.randint(len(values), (len(part), len(values)), generator=generator)
        part.copy_(values[drawn].mean(dim=1))
    return means


def bootstrap_statistic(
    statistic: Callable[[Tensor], Tensor],
    count: int,
    *,
    confidence: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
) -> Interval:
    """A statistic of a whole set with its percentile bootstrap interval, where it is no mean of single values.

    Args:
        statistic: Takes how often each row of the set counts in each of R samples, float32 `[R, count]`, and gives the
            value of each, `[R]`; NaN where a sample has none, as a correlation has none where all scores are equal.
            Such samples are left out.
        count: Rows of the set.
        confidence: Probability that the interval is to have, in (0, 1).
        resamples: Number of samples drawn.
        seed: Seed of the draw. Equal seeds draw equal rows, whatever the statistic.

    Returns:
        The value over the set and the ends of the interval.

    Raises:
        ValueError: There is no row, the statistic has no value, or an argument is out of range.

    Example:
        >>> values = torch.tensor([1.0, 2.0, 3.0, 4.0, 100.0], dtype=torch.float64)
        >>> largest = bootstrap_statistic(lambda counts: (values * (counts > 0)).amax(dim=1), 5, resamples=200)
        >>> largest.value, 2.0 <= largest.low < 5.0, largest.high
        (100.0, True, 100.0)
    """
    (values,) = resampled([statistic], count, resamples=resamples, seed=seed)
    return percentile_interval(float(statistic(torch.ones(1, count))), values, confidence)


def resampled(
    statistics: Sequence[Callable[[Tensor], Tensor]],
    count: int,
    *,
    resamples: int = 2000,
    seed: int = 0,
    max_entries: int = 2**21,
) -> Tensor:
    """Values of statistics over the same samples, drawn with replacement.

    Args:
        statistics: S of them, each as for `bootstrap_statistic`.
        count: Rows of the set.
        resamples: Number of samples drawn.
        seed: Seed of the draw. Equal seeds draw equal rows, whatever the statistic.
        max_entries: Bound on the counts held at once, as long as one sample fits.

    Returns:
        float64 `[S, resamples]`.

    Raises:
        ValueError: There is no row, or no sample is asked for.

    Example:
        >>> first, second = resampled([lambda counts: counts[:, 0], lambda counts: counts[:, 1]], 2, resamples=100)
        >>> first.unique().tolist(), (first + second).unique().tolist()
        ([0.0, 1.0, 2.0], [2.0])
    """
    _check_resamples(resamples)
    if count < 1:
        raise ValueError("There is no row to draw. Expected at least one.")
    generator = torch.Generator().manual_seed(seed)
    values = torch.empty((len(statistics), resamples), dtype=torch.float64)
    for part in torch.split(values, max(1, max_entries // count), dim=1):
        drawn = torch.randint(count, (part.shape[1], count), generator=generator)
        counts = torch.stack([torch.bincount(rows, minlength=count).float() for rows in drawn])
        for place, statistic in enumerate(statistics):
            part[place] = statistic(counts)
    return values


def percentile_interval(value: float, resampled_values: Tensor, confidence: float = 0.95) -> Interval:
    """The percentile bootstrap interval of a value.

    Args:
        value: The value over the set.
        resampled_values: Its values over samples, `[resamples]`; NaN is left out.
        confidence: Probability that the interval is to have, in (0, 1).

    Returns:
        The value and the ends of the interval.

    Raises:
        ValueError: There is no value, or `confidence` is out of range.

    Example:
        >>> percentile_interval(0.5, torch.linspace(0, 1, 101, dtype=torch.float64), confidence=0.5)
        Interval(value=0.5, low=0.25, high=0.75)
    """
    _check_confidence(confidence)
    values = resampled_values[~resampled_values.isnan()]
    if math.isnan(value) or not len(values):
        raise ValueError(
            f"The statistic has no value over all rows, or over none of {len(resampled_values)} samples of them. "
            "Expected rows that differ: use more of the data."
        )
    return Interval(value, *_ends(values, confidence))


def _counted(values: Tensor) -> Tensor:
    """The values that are none of NaN, float64 on the CPU."""
    if values.ndim != 1:
        raise ValueError(f"values has the shape {tuple(values.shape)}; expected one value for each query, [Q].")
    values = values.detach().to("cpu", torch.float64)
    values = values[~values.isnan()]
    if not len(values):
        raise ValueError("There is no value to take a mean of. Expected at least one query with something relevant.")
    return values


def _check_confidence(confidence: float) -> None:
    if not 0 < confidence < 1:
        raise ValueError(f"confidence={confidence}; expected a probability between 0 and 1, such as 0.95.")


def _check_resamples(resamples: int) -> None:
    if resamples < 1:
        raise ValueError(f"resamples={resamples}; expected 1 or more, such as 2000.")


def _ends(values: Tensor, confidence: float) -> tuple[float, float]:
    tail = (1 - confidence) / 2
    low, high = torch.quantile(values, torch.tensor([tail, 1 - tail], dtype=torch.float64)).tolist()
    return low, high
