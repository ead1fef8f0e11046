"""How well similarities tell pairs that match from pairs that do not, in one ranking of all pairs.

Pairs of equal similarity have no order: each formula takes a tie as a whole. All are exact, in float64, and NaN
where all pairs match or none does. Each takes, beside the pairs, how often each of them counts in each of R samples,
as in `quaterion.functional.correlation`.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from quaterion.functional.correlation import ties_of

__all__ = ["BestF1", "best_f1", "binary_average_precision", "roc_auc"]


class BestF1(NamedTuple):
    """The largest F1 that any threshold gives.

    Attributes:
        f1: The F1, float64, a scalar or `[R]`.
        threshold: The similarity from which on pairs are taken to match, of the similarities' type.
    """

    f1: Tensor
    threshold: Tensor


def binary_average_precision(similarity: Tensor, matches: Tensor, counts: Tensor | None = None) -> Tensor:
    """Average precision: the precision at each threshold, weighted by the share of matching pairs found there.

    Args:
        similarity: `[P]`.
        matches: bool `[P]`.
        counts: How often each pair counts in each of R samples, `[R, P]`; None for once each.

    Returns:
        float64 in (0, 1], a scalar or `[R]`.

    Raises:
        ValueError: Shapes differ, or `matches` is not boolean.

    Example:
        >>> binary_average_precision(torch.tensor([0.9, 0.5, 0.1]), torch.tensor([True, False, True]))
        tensor(0.8333, dtype=torch.float64)
    """
    steps = _steps(similarity, matches, counts)
    precisions = steps.hits / steps.taken.clamp(min=1)
    # Summed before it is divided, so that a perfect order gives exactly 1.
    return steps.scored(precisions.mul_(_differences(steps.hits)).sum(dim=1) / steps.hits[:, -1])


def best_f1(similarity: Tensor, matches: Tensor, counts: Tensor | None = None) -> BestF1:
    """The largest F1 (harmonic mean of precision and recall) over all thresholds, and the threshold.

    Args:
        similarity: `[P]`.
        matches: bool `[P]`.
        counts: How often each pair counts in each of R samples, `[R, P]`; None for once each.

    Returns:
        F1, and the lowest similarity that is still taken to match. Of thresholds of equal F1 the highest.

    Raises:
        ValueError: Shapes differ, or `matches` is not boolean.

    Example:
        >>> best_f1(torch.tensor([0.9, 0.7, -0.1, -0.3]), torch.tensor([True, True, False, False]))
        BestF1(f1=tensor(1., dtype=torch.float64), threshold=tensor(0.7000))
    """
    steps = _steps(similarity, matches, counts)
    # Of equal ones max gives the first: the highest threshold, since one that takes no pair more changes nothing.
    best = (steps.hits / (steps.taken + steps.hits[:, -1:])).max(dim=1)
    return BestF1(steps.scored(2 * best.values), steps.scored(steps.thresholds[best.indices]))


def roc_auc(similarity: Tensor, matches: Tensor, counts: Tensor | None = None) -> Tensor:
    """Area under the ROC curve: how often a matching pair is more similar than another, a tie counting half.

    Args:
        similarity: `[P]`.
        matches: bool `[P]`.
        counts: How often each pair counts in each of R samples, `[R, P]`; None for once each.

    Returns:
        float64 in [0, 1], a scalar or `[R]`.

    Raises:
        ValueError: Shapes differ, or `matches` is not boolean.

    Example:
        >>> roc_auc(torch.tensor([0.9, 0.5, 0.5]), torch.tensor([True, True, False]))  # one win, one tie
        tensor(0.7500, dtype=torch.float64)
    """
    steps = _steps(similarity, matches, counts)
    misses = steps.taken - steps.hits
    # Twice the pairs that do not match and are less similar, and once those that are as similar.
    behind = 2 * misses[:, -1:] - misses
    behind[:, 1:] -= misses[:, :-1]
    wins = behind.mul_(_differences(steps.hits)).sum(dim=1)
    return steps.scored(wins / (2 * steps.hits[:, -1] * misses[:, -1]))


class _Steps(NamedTuple):
    """The distinct similarities as thresholds, and the matches and pairs at or above each."""

    thresholds: Tensor  # [U], largest first
    hits: Tensor  # float64 [R, U]
    taken: Tensor  # float64 [R, U]
    of_samples: bool

    def scored(self, values: Tensor) -> Tensor:
        """Values of samples `[R]`, NaN where all pairs match or none does; a scalar where there are no samples."""
        both = (self.hits[:, -1] > 0) & (self.hits[:, -1] < self.taken[:, -1])
        values = values.where(both, torch.nan)
        return values if self.of_samples else values.squeeze(0)


def _steps(similarity: Tensor, matches: Tensor, counts: Tensor | None) -> _Steps:
    if similarity.ndim != 1 or similarity.shape != matches.shape:
        raise ValueError(
            f"similarity has the shape {tuple(similarity.shape)} and matches {tuple(matches.shape)}; expected one "
            "number and one flag for each pair, [P]."
        )
    if matches.dtype != torch.bool:
        raise ValueError(f"matches is of the type {matches.dtype}; expected torch.bool, such as scores > 0.5.")
    if not len(similarity):
        # One threshold that takes nothing.
        similarity, matches = similarity.new_zeros(1), matches.new_zeros(1)
        counts = None if counts is None else counts.new_zeros(len(counts), 1)
    weights = torch.ones((1, len(similarity)), device=similarity.device) if counts is None else counts
    ties = ties_of(similarity, descending=True)
    ordered = weights.index_select(1, ties.order)
    taken = ties.reached(ordered)
    return _Steps(ties.distinct, ties.reached(ordered.mul_(matches[ties.order])), taken, counts is not None)


def _differences(sums: Tensor) -> Tensor:
    return torch.diff(sums, prepend=sums.new_zeros(len(sums), 1))
