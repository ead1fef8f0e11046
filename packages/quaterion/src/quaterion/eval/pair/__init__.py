"""Retrieval metrics of pairs: every object is a query over all others, relevant are the objects it is paired with."""

from quaterion.eval.pair.mean_average_precision_at_r import MeanAveragePrecisionAtR
from quaterion.eval.pair.ndcg import NDCG
from quaterion.eval.pair.pair_metric import PairMetric
from quaterion.eval.pair.retrieval_precision import RetrievalPrecision
from quaterion.eval.pair.retrieval_r_precision import RetrievalRPrecision
from quaterion.eval.pair.retrieval_recall import RetrievalRecall
from quaterion.eval.pair.retrieval_reciprocal_rank import RetrievalReciprocalRank

__all__ = [
    "NDCG",
    "MeanAveragePrecisionAtR",
    "PairMetric",
    "RetrievalPrecision",
    "RetrievalRPrecision",
    "RetrievalRecall",
    "RetrievalReciprocalRank",
]
