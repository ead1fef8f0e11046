"""The vote of the nearest labelled examples on the group of an object."""

from __future__ import annotations

import torch
from torch import Tensor

DEFAULT_NEIGHBOURS = 10
DEFAULT_TEMPERATURE = 0.05


def knn_vote(similarities: Tensor, groups: Tensor, num_groups: int, temperature: float = DEFAULT_TEMPERATURE) -> Tensor:
    """Turns the similarities of an object's nearest examples into a probability for each group.

    An example counts exp((s - s_max) / temperature), s_max being the similarity of the nearest one; the counts of a
    group's examples are added up, and divided by those of all groups.

    Args:
        similarities: Similarities of the nearest examples, `[Q, k]`; -inf for an example that is none.
        groups: Groups of these examples, int64 `[Q, k]`, in [0, num_groups).
        num_groups: Number of groups, G.
        temperature: Difference of similarity that divides an example's count by e.

    Returns:
        `[Q, G]` in the precision of the similarities; every row sums to 1.

    Raises:
        ValueError: If shapes do not fit, or the temperature is not above 0.

    Example:
        >>> knn_vote(torch.tensor([[0.9, 0.9, 0.4]]), torch.tensor([[1, 0, 1]]), num_groups=3).round(decimals=3)
        tensor([[0.5000, 0.5000, 0.0000]])
    """
    if similarities.dim() != 2 or similarities.shape != groups.shape or not similarities.shape[1]:
        raise ValueError(
            f"expected the similarities and groups of the nearest examples, both [Q, k] with k of 1 or more, got "
            f"{list(similarities.shape)} and {list(groups.shape)}"
        )
    check_temperature(temperature, "temperature")
    votes = ((similarities - similarities.amax(dim=1, keepdim=True)) / temperature).exp()  # [Q, k]
    totals = votes.new_zeros(len(votes), num_groups).scatter_add_(1, groups, votes)  # [Q, G]
    return totals / totals.sum(dim=1, keepdim=True)


def check_temperature(value: float, name: str) -> None:
    """Checks a temperature.

    Args:
        value: The temperature.
        name: What the caller calls it.

    Raises:
        ValueError: If it is no finite number above 0.
    """
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not 0 < value < torch.inf:
        raise ValueError(f"{name} must be a number above 0, such as {DEFAULT_TEMPERATURE}, got {value!r}")
