"""Pearson's correlation of similarities and scores."""

from torch import Tensor

from quaterion.eval.scored.scored_pair_metric import ScoredPairMetric
from quaterion.functional.correlation import pearson_correlation, varies

__all__ = ["PearsonCorrelation"]


class PearsonCorrelation(ScoredPairMetric):
    """Pearson's correlation: how well similarities are a rising straight line of the scores.

    1 on a rising line, −1 on a falling one, and 0 for a model that finds all pairs equally similar.

    Args:
        distance_metric_name: How embeddings are compared.

    Raises:
        ValueError: The distance is unknown.

    Example:
        >>> import torch
        >>> embeddings = torch.tensor([[1.0, 0.0], [0.6, 0.8], [0.0, 1.0]])
        >>> pairs, labels = torch.tensor([[0, 0], [0, 1], [0, 2]]), torch.tensor([1.0, 0.6, 0.0])
        >>> PearsonCorrelation().compute(embeddings, labels, pairs)
        tensor(1.)
    """

    def score(self, similarities: Tensor, scores: Tensor, counts: Tensor | None = None) -> Tensor:
        """See `ScoredPairMetric.score`."""
        value = pearson_correlation(similarities, scores, counts)
        return value.masked_fill(~varies(similarities, counts) & varies(scores, counts), 0.0)
