"""Metrics of scored pairs: how well similarities agree with the scores, in one ranking of all pairs of the set."""

from quaterion.eval.scored.average_precision import AveragePrecision
from quaterion.eval.scored.best_f1 import BestF1
from quaterion.eval.scored.binary_pair_metric import BinaryPairMetric
from quaterion.eval.scored.pearson_correlation import PearsonCorrelation
from quaterion.eval.scored.roc_auc import RocAuc
from quaterion.eval.scored.scored_pair_metric import ScoredPairMetric
from quaterion.eval.scored.spearman_correlation import SpearmanCorrelation

__all__ = [
    "AveragePrecision",
    "BestF1",
    "BinaryPairMetric",
    "PearsonCorrelation",
    "RocAuc",
    "ScoredPairMetric",
    "SpearmanCorrelation",
]
