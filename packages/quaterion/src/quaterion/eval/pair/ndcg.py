"""Normalised discounted cumulative gain of pairs."""

import torch
from torch import Tensor

from quaterion.distances import Distance
from quaterion.eval.base_metric import ReduceFunction, checked_k
from quaterion.eval.pair.pair_metric import PairMetric
from quaterion.functional.ranked_lists import RankedLists
from quaterion.functional.retrieval import ndcg_at_k

__all__ = ["NDCG"]


class NDCG(PairMetric):
    """NDCG@k with gains 0 and 1: rewards relevant candidates the more the earlier they come, mean over queries.

    What is relevant, and what becomes of queries with nothing relevant: see `PairMetric`. Ties: see
    `quaterion.functional.retrieval`.

    Args:
        k: Number of leading candidates.
        distance_metric_name: How embeddings are compared.
        reduce_func: Makes one value of the queries' scores; None keeps the scores.

    Raises:
        ValueError: k is below 1, or the distance is unknown.

    Example:
        >>> embeddings = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.9, 0.1], [0.8, 0.3]])
        >>> pairs, subgroups = torch.tensor([[0, 2], [1, 3]]), torch.zeros(4, dtype=torch.int64)
        >>> NDCG(k=1).compute(embeddings, torch.ones(2), pairs, subgroups)
        tensor(0.7500)
    """

    def __init__(
        self,
        k: int = 10,
        distance_metric_name: Distance | str = Distance.COSINE,
        reduce_func: ReduceFunction | None = torch.mean,
    ) -> None:
        super().__init__(distance_metric_name, reduce_func)
        self.k = checked_k(k)

    @property
    def depth(self) -> int:
        """See `RetrievalMetric.depth`."""
        return self.k

    def score(self, lists: RankedLists) -> Tensor:
        """See `RetrievalMetric.score`."""
        return ndcg_at_k(lists, self.k)
