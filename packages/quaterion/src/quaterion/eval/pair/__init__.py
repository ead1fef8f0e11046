"""Retrieval metrics of pairs: every object is a query over all others, relevant are the objects it is paired with."""

from quaterion.eval.pair.pair_metric import PairMetric
from quaterion.eval.pair.retrieval_precision import RetrievalPrecision
from quaterion.eval.pair.retrieval_recall import RetrievalRecall
from quaterion.eval.pair.retrieval_reciprocal_rank import RetrievalReciprocalRank

__all__ = ["PairMetric", "RetrievalPrecision", "RetrievalRecall", "RetrievalReciprocalRank"]
