"""How well two rows of numbers agree: Pearson's and Spearman's correlation, ties included."""

import torch
from torch import Tensor

__all__ = ["average_ranks", "pearson_correlation", "spearman_correlation"]


def average_ranks(values: Tensor) -> Tensor:
    """Ranks from 1, smallest first; equal values share the mean of the ranks they take up.

    Args:
        values: `[P]`.

    Returns:
        float64 `[P]`.

    Example:
        >>> average_ranks(torch.tensor([0.5, -2.0, 0.5, 0.9]))
        tensor([2.5000, 1.0000, 2.5000, 4.0000], dtype=torch.float64)
    """
    _, tie, sizes = torch.unique(values, return_inverse=True, return_counts=True)
    last = sizes.cumsum(0)  # rank of the last member of each tie
    middle: Tensor = last.double() - (sizes - 1).double() / 2
    return middle[tie]


def pearson_correlation(x: Tensor, y: Tensor) -> Tensor:
    """Pearson's correlation: covariance over the product of both standard deviations.

    Args:
        x: `[P]`.
        y: `[P]`.

    Returns:
        A float64 scalar in [−1, 1]; NaN where all of `x` or all of `y` are equal.

    Raises:
        ValueError: Shapes differ.

    Example:
        >>> pearson_correlation(torch.tensor([1.0, 2.0, 3.0]), torch.tensor([-1.0, -2.0, -3.0]))
        tensor(-1., dtype=torch.float64)
        >>> pearson_correlation(torch.tensor([1.0, 2.0]), torch.tensor([5.0, 5.0]))
        tensor(nan, dtype=torch.float64)
    """
    _check_shapes(x, y)
    if not len(x) or bool((x == x[0]).all()) or bool((y == y[0]).all()):
        # By comparison: rounding would leave the deviation of equal numbers a little above 0.
        return torch.tensor(torch.nan, dtype=torch.float64, device=x.device)
    x, y = (values.double() - values.double().mean() for values in (x, y))
    # The root of the product, not the product of the roots: where x and y are equal it is exact, and so is the 1.
    return ((x @ y) / ((x @ x) * (y @ y)).sqrt()).clamp(-1.0, 1.0)


def spearman_correlation(x: Tensor, y: Tensor) -> Tensor:
    """Spearman's correlation: Pearson's correlation of the ranks, so that only the order counts.

    Args:
        x: `[P]`.
        y: `[P]`.

    Returns:
        A float64 scalar in [−1, 1]; NaN where all of `x` or all of `y` are equal.

    Raises:
        ValueError: Shapes differ.

    Example:
        >>> spearman_correlation(torch.tensor([0.1, 0.2, 5.0]), torch.tensor([1.0, 2.0, 3.0]))
        tensor(1., dtype=torch.float64)
    """
    _check_shapes(x, y)
    return pearson_correlation(average_ranks(x), average_ranks(y))


def _check_shapes(x: Tensor, y: Tensor) -> None:
    if x.ndim != 1 or x.shape != y.shape:
        raise ValueError(
            f"The shapes are {tuple(x.shape)} and {tuple(y.shape)}; expected two rows of numbers of one length, [P]."
        )
