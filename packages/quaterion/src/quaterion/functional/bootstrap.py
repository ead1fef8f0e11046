"""How much a mean over queries would vary if other queries had been drawn."""

from typing import NamedTuple

import torch
from torch import Tensor

__all__ = ["Interval", "bootstrap_mean"]


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
    if not 0 < confidence < 1:
        raise ValueError(f"confidence={confidence}; expected a probability between 0 and 1, such as 0.95.")
    if resamples < 1:
        raise ValueError(f"resamples={resamples}; expected 1 or more, such as 2000.")
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
    tail = (1 - confidence) / 2
    low, high = torch.quantile(means, torch.tensor([tail, 1 - tail], dtype=torch.float64)).tolist()
    return Interval(float(values.mean()), low, high)
