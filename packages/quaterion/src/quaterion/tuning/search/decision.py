"""Whether one recipe beats another beyond noise, from scores over the same folds."""

import math
from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor

from quaterion.functional.bootstrap import Interval, bootstrap_mean, percentile_interval, resampled
from quaterion.tuning.search.scoring import Score, mean_score, statistic_of

__all__ = ["Gain", "beats_chance", "gain_over"]

RESAMPLES = 1000


class Gain(NamedTuple):
    """How much better one recipe is than another on objects that neither learned from.

    Args:
        metric: Difference of the metric, after minus before.
        evidence: Mean difference of what is compared for each query, or of all pairs, with its interval of 95 %; the
            best of several has a wider one.
        real: Whether the interval lies above 0, and the metric is higher too.
    """

    metric: float
    evidence: Interval
    real: bool


def gain_over(
    before: Sequence[Score], after: Sequence[Score], *, metric: str, comparisons: int = 1, seed: int = 0
) -> Gain:
    """Compares two recipes.

    Where the metric is a mean over queries, the difference of each query's log-likelihood is resampled. Most queries
    are right, or wrong, with both recipes, and say nothing in a comparison of accuracies; their likelihoods do. Where
    labels mean nothing, neither recipe can have a likelihood above the other's but by chance.

    Args:
        before: Scores of one recipe, one for each fold.
        after: Scores of the other over the same folds.
        metric: The metric.
        comparisons: Number of recipes of which `after` is the best: the interval is as much wider (Bonferroni).
        seed: Seed of the resampling.
    """
    confidence = 1 - 0.05 / comparisons
    difference = mean_score(after) - mean_score(before)
    if after[0].scored is None:
        values = [_likelihood(b) - _likelihood(a) for a, b in zip(before, after, strict=True)]
        evidence = bootstrap_mean(torch.cat(values), confidence=confidence, seed=seed, resamples=RESAMPLES)
    else:
        evidence = _difference_of_statistics(before, after, metric, difference, confidence, seed)
    return Gain(difference, evidence, evidence.low > 0 and difference > 0)


def _likelihood(score: Score) -> Tensor:
    assert score.likelihood is not None  # noqa: S101 - scores of queries have it
    return score.likelihood


def _difference_of_statistics(
    before: Sequence[Score], after: Sequence[Score], metric: str, difference: float, confidence: float, seed: int
) -> Interval:
    statistic = statistic_of(metric)
    sizes = [len(_scored(score)[0]) for score in after]
    resamples = torch.zeros(RESAMPLES, dtype=torch.float64)
    for number, folds in enumerate(zip(before, after, strict=True)):
        of_both = [partial(statistic, *_scored(score)) for score in folds]
        values = resampled(of_both, sizes[number], resamples=RESAMPLES, seed=seed + number)
        resamples += (values[1] - values[0]).double() * sizes[number] / sum(sizes)
    return percentile_interval(difference, resamples, confidence)


def _scored(score: Score) -> tuple[Tensor, Tensor]:
    assert score.scored is not None  # noqa: S101 - scores of scored pairs have it
    return score.scored


def beats_chance(scores: Sequence[Score], num_groups: int, *, seed: int = 0) -> bool:
    """Whether right answers are more probable than if all groups were equally so, beyond noise.

    Args:
        scores: Scores of groups, one for each fold.
        num_groups: Groups to choose from.
        seed: Seed of the resampling.
    """
    values = torch.cat([_likelihood(score) for score in scores]) + math.log(num_groups)
    return bootstrap_mean(values, confidence=0.95, seed=seed, resamples=RESAMPLES).low > 0
