"""Spearman's correlation of similarities and scores."""

from torch import Tensor

from quaterion.eval.scored.scored_pair_metric import ScoredPairMetric
from quaterion.functional.correlation import spearman_correlation, varies

__all__ = ["SpearmanCorrelation"]


class SpearmanCorrelation(ScoredPairMetric):
    """Spearman's correlation: how well the order of the similarities is that of the scores; ties share their ranks.

    1 for the same order, −1 for the opposite, and 0 for a model that finds all pairs equally similar.

    Args:
        distance_metric_name: How embeddings are compared.

    Raises:
        ValueError: The distance is unknown.

    Example:
        >>> import torch
        >>> embeddings = torch.tensor([[1.0, 0.0], [0.9, 0.1], [0.5, 0.5], [-1.0, 0.1]])
        >>> pairs, labels = torch.tensor([[0, 1], [0, 2], [0, 3]]), torch.tensor([1.0, 0.4, 0.1])
        >>> SpearmanCorrelation().compute(embeddings, labels, pairs)
        tensor(1.)
    """

    def score(self, similarities: Tensor, scores: Tensor, counts: Tensor | None = None) -> Tensor:
        """See `ScoredPairMetric.score`."""
        value = spearman_correlation(similarities, scores, counts)
        return value.masked_fill(~varies(similarities, counts) & varies(scores, counts), 0.0)
