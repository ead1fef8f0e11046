"""The outcome of one evaluation: values, scores of single queries, intervals."""

from dataclasses import dataclass

from torch import Tensor

from quaterion.functional.bootstrap import Interval, bootstrap_mean

__all__ = ["Evaluation"]


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Values of all metrics of one run, and the scores behind them.

    Args:
        values: Value of each metric.
        scores: Score of each query by each metric, float64 `[S]`, NaN where nothing is relevant.
        queries: Which query of the whole set each score belongs to, `[S]` in rising order.
        num_queries: Queries that the whole set has.
        num_left_out: Queries of the whole set that have nothing relevant, and so no part in any value.
    """

    values: dict[str, Tensor]
    scores: dict[str, Tensor]
    queries: Tensor
    num_queries: int
    num_left_out: int

    def intervals(self, *, confidence: float = 0.95, resamples: int = 2000, seed: int = 0) -> dict[str, Interval]:
        """Mean score of each metric with its bootstrap interval over queries.

        Args:
            confidence: Probability that the intervals are to have.
            resamples: Number of samples drawn.
            seed: Seed of the draw.

        Returns:
            Mean and ends of the interval of each metric.
        """
        return {
            name: bootstrap_mean(scores, confidence=confidence, resamples=resamples, seed=seed)
            for name, scores in self.scores.items()
        }
