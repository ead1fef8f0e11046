"""The outcome of one evaluation: values, scores of single queries, intervals, groups of queries."""

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from torch import Tensor

from quaterion.functional.bootstrap import Interval, bootstrap_mean, bootstrap_statistic

__all__ = ["Evaluation", "PairAgreement"]


class PairAgreement(NamedTuple):
    """What a metric of scored pairs made of a set, and what it made it of.

    Args:
        value: Its value, a scalar.
        similarities: Similarity of each pair, `[P]`.
        scores: Score of each pair, `[P]`.
        statistic: Gives the value over each of R samples of the pairs, `[R]`, of their similarities `[P]`, scores
            `[P]` and how often each counts, `[R, P]`; NaN where a sample allows none. See `ScoredPairMetric.score`.
    """

    value: Tensor
    similarities: Tensor
    scores: Tensor
    statistic: Callable[[Tensor, Tensor, Tensor], Tensor]

    def over(self, counts: Tensor) -> Tensor:
        """The values over samples of the pairs.

        Args:
            counts: How often each pair counts in each of R samples, `[R, P]`.

        Returns:
            float64 `[R]`.
        """
        return self.statistic(self.similarities, self.scores, counts)


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Values of all metrics of one run, and the scores behind them.

    Args:
        values: Value of each metric.
        scores: Score of each query by each metric, float64 `[S]`, NaN where nothing is relevant. Metrics of scored
            pairs have none: they are in `agreements`.
        queries: Which query of the whole set each score belongs to, `[S]` in rising order.
        num_queries: Queries that the whole set has.
        num_left_out: Queries of the whole set that have nothing relevant, and so no part in any value.
        groups: Group of each query of the whole set as the data names it, None where there are none.
        agreements: Outcome of each metric of scored pairs.
        data: Digest of the data, None where it is not known.

    Example:
        >>> scores = torch.tensor([1.0, 0.0, 1.0, torch.nan])
        >>> evaluation = Evaluation({"mrr": torch.tensor(2 / 3)}, {"mrr": scores}, torch.arange(4), 4, num_left_out=1)
        >>> {group: part.values["mrr"].item() for group, part in evaluation.by_group(["a", "b", "a", "b"]).items()}
        {'a': 1.0, 'b': 0.0}
    """

    values: dict[str, Tensor]
    scores: dict[str, Tensor]
    queries: Tensor
    num_queries: int
    num_left_out: int
    groups: Sequence[Hashable] | None = None
    agreements: Mapping[str, PairAgreement] = field(default_factory=dict)
    data: str | None = None

    @classmethod
    def from_scores(cls, scores: Mapping[str, Tensor]) -> "Evaluation":
        """The evaluation of something that is no model, by scores that were computed elsewhere.

        With it, intervals and `compare` serve any ranking: by popularity, by a search engine, by rules.

        Args:
            scores: Score of each query by each metric, `[Q]`, NaN for queries that have nothing relevant; the same
                queries in the same order for all metrics.

        Returns:
            The evaluation; values are means of the scores that count.

        Raises:
            ValueError: There is no metric, or scores are not one for each query.

        Example:
            >>> popular = Evaluation.from_scores({"recall@10": torch.tensor([1.0, 0.0, 0.5, torch.nan])})
            >>> popular.values["recall@10"].item(), popular.num_queries, popular.num_left_out
            (0.5, 4, 1)
        """
        shapes = {name: tuple(values.shape) for name, values in scores.items()}
        if len(set(shapes.values())) != 1 or len(next(iter(shapes.values()))) != 1:
            raise ValueError(
                f"The scores have the shapes {shapes}; expected at least one metric, and of each one score for each "
                "query, [Q]."
            )
        kept = {name: values.detach().to("cpu", torch.float64) for name, values in scores.items()}
        first = next(iter(kept.values()))
        return cls(
            values={name: values.nanmean().float() for name, values in kept.items()},
            scores=kept,
            queries=torch.arange(len(first)),
            num_queries=len(first),
            num_left_out=int(first.isnan().sum()),
        )

    @property
    def names(self) -> list[str]:
        """Names of the metrics, in the order of their values where these are known."""
        behind = [*self.scores, *self.agreements]
        return [name for name in dict.fromkeys([*self.values, *behind]) if name in behind]

    def intervals(self, *, confidence: float = 0.95, resamples: int = 2000, seed: int = 0) -> dict[str, Interval]:
        """Mean score of each metric with its bootstrap interval over queries.

        A metric of scored pairs is computed over each of the samples, drawn of the pairs.

        Args:
            confidence: Probability that the intervals are to have.
            resamples: Number of samples drawn.
            seed: Seed of the draw.

        Returns:
            Value and ends of the interval of each metric.

        Raises:
            ValueError: No query has anything relevant (as in a part of `by_group`), or an argument is out of range.
        """
        options: dict[str, Any] = {"confidence": confidence, "resamples": resamples, "seed": seed}
        intervals = {name: bootstrap_mean(scores, **options) for name, scores in self.scores.items()}
        for name, agreement in self.agreements.items():
            intervals[name] = bootstrap_statistic(agreement.over, len(agreement.scores), **options)
        return {name: intervals[name] for name in self.names}

    def by_group(self, groups: Sequence[Hashable] | Tensor | None = None) -> dict[Hashable, "Evaluation"]:
        """Breaks the evaluation down by groups of its queries; candidates stay those of the whole set.

        Args:
            groups: Group of each query of the whole set, `num_queries` of them: its language, where it comes from.
                None takes the groups of the data. Queries of a `PairSampler` are the first objects of all pairs, then
                the second ones unless it distinguishes the sides.

        Returns:
            For each group, in the order in which they come, an evaluation of its queries: `values` are means of the
            scores that count (NaN where none does), `queries` their numbers in the whole set, `num_queries` those of
            them that were evaluated, and `num_left_out` those of these that have nothing relevant. Metrics of scored
            pairs are left away: they have no value for one query.

        Raises:
            ValueError: The data has no groups, or their number is not that of the queries.
        """
        if groups is None:
            groups = self.groups
        if groups is None:
            raise ValueError(
                "The data of this evaluation has no groups. Pass the group of each query: by_group([...]), "
                f"{self.num_queries} of them."
            )
        labels: Sequence[Hashable] = groups.tolist() if isinstance(groups, Tensor) else groups
        if len(labels) != self.num_queries:
            raise ValueError(
                f"by_group got {len(labels)} groups for {self.num_queries} queries; expected one for each query of the "
                "whole set, those left out and those not drawn included."
            )
        places: dict[Hashable, list[int]] = {}
        for place, query in enumerate(self.queries.tolist()):
            places.setdefault(labels[query], []).append(place)
        return {label: self._part(torch.tensor(members)) for label, members in places.items()}

    def _part(self, places: Tensor) -> "Evaluation":
        scores = {name: values[places] for name, values in self.scores.items()}
        left_out = next((int(values.isnan().sum()) for values in scores.values()), 0)
        return Evaluation(
            values={name: values.nanmean().float() for name, values in scores.items()},
            scores=scores,
            queries=self.queries[places],
            num_queries=len(places),
            num_left_out=left_out,
        )
