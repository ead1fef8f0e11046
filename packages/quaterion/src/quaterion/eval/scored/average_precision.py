"""Average precision of pairs that match or do not."""

from torch import Tensor

from quaterion.eval.scored.binary_pair_metric import BinaryPairMetric
from quaterion.functional.binary_scores import binary_average_precision

__all__ = ["AveragePrecision"]


class AveragePrecision(BinaryPairMetric):
    """Average precision of all pairs ranked by similarity: 1 where every pair that matches stands before the others.

    A model that finds all pairs equally similar reaches the share of pairs that match.

    Args:
        distance_metric_name: How embeddings are compared.

    Raises:
        ValueError: The distance is unknown.

    Example:
        >>> import torch
        >>> embeddings = torch.tensor([[1.0, 0.0], [0.9, 0.1], [0.5, 0.5], [-1.0, 0.1]])
        >>> pairs, labels = torch.tensor([[0, 1], [0, 2], [0, 3]]), torch.tensor([1.0, 0.0, 1.0])
        >>> AveragePrecision().compute(embeddings, labels, pairs)
        tensor(0.8333)
    """

    def score(self, similarities: Tensor, scores: Tensor, counts: Tensor | None = None) -> Tensor:
        """See `ScoredPairMetric.score`."""
        return binary_average_precision(similarities, scores > 0, counts)
