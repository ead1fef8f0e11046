"""Mean reciprocal rank of groups."""

from torch import Tensor

from quaterion.eval.group.group_metric import GroupMetric
from quaterion.functional.ranked_lists import RankedLists
from quaterion.functional.retrieval import reciprocal_rank

__all__ = ["RetrievalReciprocalRank"]


class RetrievalReciprocalRank(GroupMetric):
    """Mean reciprocal rank (MRR): one over the rank of the first relevant candidate, mean over queries.

    What is relevant, and what becomes of queries with nothing relevant: see `GroupMetric`. Ties: see
    `quaterion.functional.retrieval`.

    Args:
        distance_metric_name: How embeddings are compared.
        reduce_func: Makes one value of the queries' scores; None keeps the scores.

    Raises:
        ValueError: The distance is unknown.

    Example:
        >>> import torch
        >>> embeddings = torch.tensor([[1.0, 0.0], [0.9, 0.1], [0.8, 0.3], [0.0, 1.0]])
        >>> RetrievalReciprocalRank().compute(embeddings, groups=torch.tensor([0, 0, 1, 1]))
        tensor(0.8333)
    """

    @property
    def depth(self) -> int:
        """See `RetrievalMetric.depth`."""
        return 0

    def score(self, lists: RankedLists) -> Tensor:
        """See `RetrievalMetric.score`."""
        return reciprocal_rank(lists)
