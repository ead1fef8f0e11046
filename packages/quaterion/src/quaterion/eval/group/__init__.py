"""Retrieval metrics of objects in groups: every object is a query over all others, relevant are those of its group."""

from quaterion.eval.group.group_metric import GroupMetric
from quaterion.eval.group.mean_average_precision_at_r import MeanAveragePrecisionAtR
from quaterion.eval.group.ndcg import NDCG
from quaterion.eval.group.retrieval_precision import RetrievalPrecision
from quaterion.eval.group.retrieval_r_precision import RetrievalRPrecision
from quaterion.eval.group.retrieval_recall import RetrievalRecall
from quaterion.eval.group.retrieval_reciprocal_rank import RetrievalReciprocalRank

__all__ = [
    "NDCG",
    "GroupMetric",
    "MeanAveragePrecisionAtR",
    "RetrievalPrecision",
    "RetrievalRPrecision",
    "RetrievalRecall",
    "RetrievalReciprocalRank",
]
