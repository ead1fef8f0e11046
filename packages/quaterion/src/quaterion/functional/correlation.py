"""How well two rows of numbers agree: Pearson's and Spearman's correlation, ties included.

Each formula takes, beside the rows, how often each pair of numbers counts in each of R samples, as a bootstrap draws
them. All samples are scored at once, and from one sorting of the rows: that is what makes the bootstrap of a score of
a whole ranking quick.
"""

from typing import NamedTuple

import torch
from torch import Tensor

__all__ = ["Ties", "average_ranks", "pearson_correlation", "spearman_correlation", "ties_of", "varies"]


class Ties(NamedTuple):
    """Values in order, equal ones together.

    Args:
        distinct: The distinct values in order, `[U]`.
        number: Which of them each value is, int64 `[P]`.
        order: Rows of the values in order, int64 `[P]`.
        last: Place in `order` of the last of each distinct value, int64 `[U]`.
    """

    distinct: Tensor
    number: Tensor
    order: Tensor
    last: Tensor

    def reached(self, ordered: Tensor) -> Tensor:
        """Sums over all values up to and with each distinct one.

        Args:
            ordered: Numbers of the values in `order`, `[R, P]`.

        Returns:
            float64 `[R, U]`.
        """
        sums = ordered.cumsum(dim=1, dtype=torch.float64)
        return sums if len(self.last) == len(self.order) else sums.index_select(1, self.last)


def ties_of(values: Tensor, *, descending: bool = False) -> Ties:
    """Puts values in order.

    Args:
        values: `[P]`, one or more.
        descending: Largest first.

    Example:
        >>> ties = ties_of(torch.tensor([0.5, -2.0, 0.5]))
        >>> ties.distinct.tolist(), ties.number.tolist(), ties.reached(torch.tensor([[1.0, 2.0, 3.0]])).tolist()
        ([-2.0, 0.5], [1, 0, 1], [[1.0, 6.0]])
    """
    ordered, order = values.sort(descending=descending)
    ends = torch.ones_like(ordered, dtype=torch.bool)
    ends[:-1] = ordered[1:] != ordered[:-1]
    last = ends.nonzero().squeeze(1)
    number = torch.empty_like(order)
    number[order] = torch.cat([ends.new_zeros(1), ends[:-1]]).cumsum(0)
    return Ties(ordered[last], number, order, last)


def average_ranks(values: Tensor, counts: Tensor | None = None) -> Tensor:
    """Ranks from 1, smallest first; equal values share the mean of the ranks they take up.

    Args:
        values: `[P]`.
        counts: How often each value counts in each of R samples, `[R, P]`; None for once each.

    Returns:
        float64 `[P]`, or `[R, P]`.

    Example:
        >>> average_ranks(torch.tensor([0.5, -2.0, 0.5, 0.9]))
        tensor([2.5000, 1.0000, 2.5000, 4.0000], dtype=torch.float64)
    """
    if not len(values):
        return values.double() if counts is None else counts.double()
    ties = ties_of(values)
    # [R, U]: rank of the last member of each tie
    last = ties.reached(_counts(values, counts).index_select(1, ties.order))
    middle = last + 1
    middle[:, 1:] += last[:, :-1]
    return _of_samples(middle.div_(2).index_select(1, ties.number), counts)


def varies(values: Tensor, counts: Tensor | None = None) -> Tensor:
    """Whether values that count differ.

    Args:
        values: `[P]`, one or more.
        counts: How often each value counts in each of R samples, `[R, P]`; None for once each.

    Returns:
        A bool scalar, or `[R]`.
    """
    drawn = _counts(values, counts) > 0
    first = values[drawn.byte().argmax(dim=1)].unsqueeze(1)  # [R, 1]
    return _of_samples(((values != first) & drawn).any(dim=1), counts)


def pearson_correlation(x: Tensor, y: Tensor, counts: Tensor | None = None) -> Tensor:
    """Pearson's correlation: covariance over the product of both standard deviations.

    Args:
        x: `[P]`.
        y: `[P]`.
        counts: How often each pair of numbers counts in each of R samples, `[R, P]`; None for once each.

    Returns:
        float64 in [−1, 1], a scalar or `[R]`; NaN where all of `x` or all of `y` are equal.

    Raises:
        ValueError: Shapes differ.

    Example:
        >>> pearson_correlation(torch.tensor([1.0, 2.0, 3.0]), torch.tensor([-1.0, -2.0, -3.0]))
        tensor(-1., dtype=torch.float64)
        >>> pearson_correlation(torch.tensor([1.0, 2.0]), torch.tensor([5.0, 5.0]))
        tensor(nan, dtype=torch.float64)
    """
    _check_shapes(x, y)
    if not len(x):
        return _of_samples(_counts(x, counts).new_full((1 if counts is None else len(counts),), torch.nan), counts)
    weights = _counts(x, counts)
    # About the mean of all, so that no digits are lost; what is left of a sample's own mean is small beside it.
    x64, y64 = (values.double() - values.double().mean() for values in (x, y))
    moments = torch.stack([torch.ones_like(x64), x64, y64, x64 * x64, y64 * y64, x64 * y64], dim=1)
    size, sum_x, sum_y, square_x, square_y, product = (weights.double() @ moments).unbind(dim=1)  # [R]
    value = _ratio(product - sum_x * sum_y / size, square_x - sum_x * sum_x / size, square_y - sum_y * sum_y / size)
    return _defined(value, x, y, weights, counts)


def spearman_correlation(x: Tensor, y: Tensor, counts: Tensor | None = None) -> Tensor:
    """Spearman's correlation: Pearson's correlation of the ranks, so that only the order counts.

    Args:
        x: `[P]`.
        y: `[P]`.
        counts: How often each pair of numbers counts in each of R samples, `[R, P]`; None for once each.

    Returns:
        float64 in [−1, 1], a scalar or `[R]`; NaN where all of `x` or all of `y` are equal.

    Raises:
        ValueError: Shapes differ.

    Example:
        >>> spearman_correlation(torch.tensor([0.1, 0.2, 5.0]), torch.tensor([1.0, 2.0, 3.0]))
        tensor(1., dtype=torch.float64)
    """
    _check_shapes(x, y)
    if not len(x):
        return pearson_correlation(x, y, counts)
    weights = _counts(x, counts)
    middle = (weights.sum(dim=1, keepdim=True, dtype=torch.float64) + 1) / 2  # [R, 1]: mean of any sample's ranks
    x_ranks, y_ranks = (average_ranks(values, weights).sub_(middle) for values in (x, y))  # [R, P]
    x_weighted = weights * x_ranks
    product, x_squares = (x_weighted * y_ranks).sum(dim=1), x_weighted.mul_(x_ranks).sum(dim=1)
    y_squares = (weights * y_ranks).mul_(y_ranks).sum(dim=1)
    return _defined(_ratio(product, x_squares, y_squares), x, y, weights, counts)


def _ratio(product: Tensor, x_squares: Tensor, y_squares: Tensor) -> Tensor:
    # The root of the product, not the product of the roots: where x and y are equal it is exact, and so is the 1.
    return (product / (x_squares * y_squares).sqrt()).clamp(-1.0, 1.0)


def _defined(value: Tensor, x: Tensor, y: Tensor, weights: Tensor, counts: Tensor | None) -> Tensor:
    # By comparison: rounding would leave the deviation of equal numbers a little above 0.
    return _of_samples(value.where(varies(x, weights) & varies(y, weights), torch.nan), counts)


def _counts(values: Tensor, counts: Tensor | None) -> Tensor:
    if counts is None:
        return torch.ones((1, len(values)), dtype=torch.float64, device=values.device)
    return counts


def _of_samples(result: Tensor, counts: Tensor | None) -> Tensor:
    return result.squeeze(0) if counts is None else result


def _check_shapes(x: Tensor, y: Tensor) -> None:
    if x.ndim != 1 or x.shape != y.shape:
        raise ValueError(
            f"The shapes are {tuple(x.shape)} and {tuple(y.shape)}; expected two rows of numbers of one length, [P]."
        )
