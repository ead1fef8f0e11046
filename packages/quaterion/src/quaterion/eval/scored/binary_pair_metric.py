"""The base of the metrics of pairs that either match or do not."""

from torch import Tensor

from quaterion.eval.base_metric import UnscorableSetError
from quaterion.eval.scored.scored_pair_metric import ScoredPairMetric

__all__ = ["BinaryPairMetric"]


class BinaryPairMetric(ScoredPairMetric):
    """A metric of pairs whose scores are 1, for pairs that match, and 0, for pairs that do not.

    Args:
        distance_metric_name: How embeddings are compared.

    Raises:
        ValueError: The distance is unknown.
    """

    def check(self, scores: Tensor) -> None:
        """Refuses scores that the metric has no value for.

        Args:
            scores: `[P]`, finite.

        Raises:
            UnscorableSetError: All pairs match, or none does.
            ValueError: A score is neither 0 nor 1.
        """
        other = scores[(scores != 0) & (scores != 1)]
        if len(other):
            raise ValueError(
                f"{type(self).__name__} got a score of {other[0].item():g}; expected 1 for pairs that match and 0 for "
                "pairs that do not. Round the scores, or use SpearmanCorrelation, which takes any."
            )
        if bool((scores == scores[0]).all()):
            which = "match (score 1)" if bool(scores[0]) else "do not match (score 0)"
            raise UnscorableSetError(
                f"All {len(scores)} pairs {which}, so there is nothing for {type(self).__name__} to tell apart. "
                "Expected pairs of both kinds: add pairs of the other score."
            )
