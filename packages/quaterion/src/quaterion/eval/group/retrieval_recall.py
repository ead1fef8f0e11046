"""Recall@k of groups."""

import torch
from torch import Tensor

from quaterion.distances import Distance
from quaterion.eval.base_metric import ReduceFunction, checked_k
from quaterion.eval.group.group_metric import GroupMetric
from quaterion.functional.ranked_lists import RankedLists
from quaterion.functional.retrieval import hit_rate_at_k

__all__ = ["RetrievalRecall"]


class RetrievalRecall(GroupMetric):
    """Recall@k, the hit rate: share of the queries with anything relevant among the first k candidates.

    What is relevant, and what becomes of queries with nothing relevant: see `GroupMetric`. Ties: see
    `quaterion.functional.retrieval`.

    Args:
        k: Number of leading candidates.
        distance_metric_name: How embeddings are compared.
        reduce_func: Makes one value of the queries' scores; None keeps the scores.

    Raises:
        ValueError: k is below 1, or the distance is unknown.

    Example:
        >>> embeddings = torch.tensor([[1.0, 0.0], [0.9, 0.1], [0.8, 0.3], [0.0, 1.0]])
        >>> RetrievalRecall(k=1).compute(embeddings, groups=torch.tensor([0, 0, 1, 1]))
        tensor(0.7500)
    """

    def __init__(
        self,
        k: int = 1,
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
        return hit_rate_at_k(lists, self.k)
