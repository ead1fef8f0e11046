"""How well similarities tell pairs that match from pairs that do not, in one ranking of all pairs.

Pairs of equal similarity have no order: each formula takes a tie as a whole. All are exact, in float64, and NaN
where all pairs match or none does.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from quaterion.functional.correlation import average_ranks

__all__ = ["BestF1", "best_f1", "binary_average_precision", "roc_auc"]


class BestF1(NamedTuple):
    """The largest F1 that any threshold gives.

    Args:
        f1: The F1, a float64 scalar.
        threshold: The similarity from which on pairs are taken to match, a scalar of the similarities' type.
    """

    f1: Tensor
    threshold: Tensor


def binary_average_precision(similarity: Tensor, matches: Tensor) -> Tensor:
    """Average precision: the precision at each threshold, weighted by the share of matching pairs found there.

    Args:
        similarity: `[P]`.
        matches: bool `[P]`.

    Returns:
        A float64 scalar in (0, 1].

    Raises:
        ValueError: Shapes differ, or `matches` is not boolean.

    Example:
        >>> binary_average_precision(torch.tensor([0.9, 0.5, 0.1]), torch.tensor([True, False, True]))
        tensor(0.8333, dtype=torch.float64)
    """
    steps = _steps(similarity, matches)
    if steps is None:
        return _undefined(similarity)
    _, hits, taken = steps
    found = torch.diff(hits, prepend=hits.new_zeros(1))
    # Summed before it is divided, so that a perfect order gives exactly 1.
    return (found * (hits / taken)).sum() / hits[-1]


def best_f1(similarity: Tensor, matches: Tensor) -> BestF1:
    """The largest F1 (harmonic mean of precision and recall) over all thresholds, and the threshold.

    Args:
        similarity: `[P]`.
        matches: bool `[P]`.

    Returns:
        F1, and the lowest similarity that is still taken to match. Of thresholds of equal F1 the highest.

    Raises:
        ValueError: Shapes differ, or `matches` is not boolean.

    Example:
        >>> best_f1(torch.tensor([0.9, 0.7, -0.1, -0.3]), torch.tensor([True, True, False, False]))
        BestF1(f1=tensor(1., dtype=torch.float64), threshold=tensor(0.7000))
    """
    steps = _steps(similarity, matches)
    if steps is None:
        return BestF1(_undefined(similarity), torch.full_like(similarity.sum(), torch.nan))
    thresholds, hits, taken = steps
    scores = 2 * hits / (taken + hits[-1])
    best = (scores == scores.max()).nonzero()[0, 0]
    return BestF1(scores[best], thresholds[best])


def roc_auc(similarity: Tensor, matches: Tensor) -> Tensor:
    """Area under the ROC curve: how often a matching pair is more similar than another, a tie counting half.

    Args:
        similarity: `[P]`.
        matches: bool `[P]`.

    Returns:
        A float64 scalar in [0, 1].

    Raises:
        ValueError: Shapes differ, or `matches` is not boolean.

    Example:
        >>> roc_auc(torch.tensor([0.9, 0.5, 0.5]), torch.tensor([True, True, False]))  # one win, one tie
        tensor(0.7500, dtype=torch.float64)
    """
    _check(similarity, matches)
    positives = matches.sum().double()
    negatives = len(matches) - positives
    ranks = average_ranks(similarity)
    wins = ranks[matches].sum() - positives * (positives + 1) / 2  # Mann and Whitney's U
    return wins / (positives * negatives)  # 0 / 0 where all match or none does


def _steps(similarity: Tensor, matches: Tensor) -> tuple[Tensor, Tensor, Tensor] | None:
    """Distinct similarities from the largest on `[U]`, and the matches and pairs at or above each, float64 `[U]`."""
    _check(similarity, matches)
    if not bool(matches.any()) or bool(matches.all()):
        return None
    distinct, tie, sizes = torch.unique(similarity, return_inverse=True, return_counts=True)
    hits = torch.zeros(len(distinct), dtype=torch.float64, device=similarity.device)
    hits.index_add_(0, tie, matches.double())
    return distinct.flip(0), hits.flip(0).cumsum(0), sizes.flip(0).double().cumsum(0)


def _undefined(similarity: Tensor) -> Tensor:
    return torch.tensor(torch.nan, dtype=torch.float64, device=similarity.device)


def _check(similarity: Tensor, matches: Tensor) -> None:
    if similarity.ndim != 1 or similarity.shape != matches.shape:
        raise ValueError(
            f"similarity has the shape {tuple(similarity.shape)} and matches {tuple(matches.shape)}; expected one "
            "number and one flag for each pair, [P]."
        )
    if matches.dtype != torch.bool:
        raise ValueError(f"matches is of the type {matches.dtype}; expected torch.bool, such as scores > 0.5.")
