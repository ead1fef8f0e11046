"""Best F1 of pairs that match or do not, and the threshold that gives it."""

from torch import Tensor

from quaterion.distances import Distance
from quaterion.eval.scored.binary_pair_metric import BinaryPairMetric
from quaterion.eval.scored.scored_pairs import ScoredPairs
from quaterion.functional.binary_scores import best_f1

__all__ = ["BestF1"]


class BestF1(BinaryPairMetric):
    """The largest F1 that a threshold on the similarity reaches, and that threshold.

    The threshold is chosen on the very pairs that it is judged by: it is a fair one for other pairs only where
    these are many.

    Args:
        distance_metric_name: How embeddings are compared.

    Attributes:
        threshold: Similarity from which on pairs are taken to match, for the last value; NaN before there is one.

    Raises:
        ValueError: The distance is unknown.

    Example:
        >>> import torch
        >>> embeddings = torch.tensor([[1.0, 0.0], [0.6, 0.8], [0.0, 1.0], [-1.0, 0.0]])
        >>> pairs, labels = torch.tensor([[0, 1], [0, 2], [0, 3]]), torch.tensor([1.0, 0.0, 0.0])
        >>> metric = BestF1()
        >>> metric.compute(embeddings, labels, pairs), round(metric.threshold, 2)
        (tensor(1.), 0.6)
    """

    def __init__(self, distance_metric_name: Distance | str = Distance.COSINE) -> None:
        super().__init__(distance_metric_name)
        self.threshold = float("nan")

    def score(self, similarities: Tensor, scores: Tensor, counts: Tensor | None = None) -> Tensor:
        """See `ScoredPairMetric.score`."""
        return best_f1(similarities, scores > 0, counts).f1

    def value(self, pairs: ScoredPairs) -> Tensor:
        """See `ScoredPairMetric.value`."""
        self.check(pairs.scores)
        best = best_f1(pairs.similarities(self.distance_metric_name), pairs.scores > 0)
        self.threshold = float(best.threshold)
        return best.f1.float()
