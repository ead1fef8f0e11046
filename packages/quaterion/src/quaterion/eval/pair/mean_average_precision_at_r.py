"""Mean average precision at R of pairs."""

from torch import Tensor

from quaterion.eval.pair.pair_metric import PairMetric
from quaterion.functional.ranked_lists import RankedLists
from quaterion.functional.retrieval import average_precision_at_r

__all__ = ["MeanAveragePrecisionAtR"]


class MeanAveragePrecisionAtR(PairMetric):
    """MAP@R: precision at the ranks of relevant candidates among the first R, summed, over R; mean over queries.

    What is relevant, and what becomes of queries with nothing relevant: see `PairMetric`. Ties: see
    `quaterion.functional.retrieval`.

    Args:
        distance_metric_name: How embeddings are compared.
        reduce_func: Makes one value of the queries' scores; None keeps the scores.

    Raises:
        ValueError: The distance is unknown.

    Example:
        >>> import torch
        >>> embeddings = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.9, 0.1], [0.8, 0.3]])
        >>> pairs, subgroups = torch.tensor([[0, 2], [1, 3]]), torch.zeros(4, dtype=torch.int64)
        >>> MeanAveragePrecisionAtR().compute(embeddings, torch.ones(2), pairs, subgroups)
        tensor(0.7500)
    """

    @property
    def depth(self) -> None:
        """See `RetrievalMetric.depth`."""
        return None

    def score(self, lists: RankedLists) -> Tensor:
        """See `RetrievalMetric.score`."""
        return average_precision_at_r(lists)
