"""Area under the ROC curve of pairs that match or do not."""

from torch import Tensor

from quaterion.eval.scored.binary_pair_metric import BinaryPairMetric
from quaterion.functional.binary_scores import roc_auc

__all__ = ["RocAuc"]


class RocAuc(BinaryPairMetric):
    """ROC AUC: how often a pair that matches is more similar than one that does not; a tie counts half.

    A model that finds all pairs equally similar reaches 0.5.

    Args:
        distance_metric_name: How embeddings are compared.

    Raises:
        ValueError: The distance is unknown.

    Example:
        >>> import torch
        >>> embeddings = torch.tensor([[1.0, 0.0], [0.9, 0.1], [0.5, 0.5], [-1.0, 0.1]])
        >>> pairs, labels = torch.tensor([[0, 1], [0, 2], [0, 3]]), torch.tensor([1.0, 0.0, 1.0])
        >>> RocAuc().compute(embeddings, labels, pairs)
        tensor(0.5000)
    """

    def score(self, similarities: Tensor, scores: Tensor, counts: Tensor | None = None) -> Tensor:
        """See `ScoredPairMetric.score`."""
        return roc_auc(similarities, scores > 0, counts)
