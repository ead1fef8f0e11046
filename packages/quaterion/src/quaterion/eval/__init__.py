"""Metrics over whole data sets, what runs them, and what compares models by them.

The metrics themselves are in `eval.group`, `eval.pair` and `eval.scored`.
"""

from quaterion.eval.attached_metric import AttachedMetric
from quaterion.eval.base_metric import RetrievalMetric, UnscorableSetError
from quaterion.eval.comparison import Comparison, MetricComparison, compare
from quaterion.eval.embedded_model import EmbeddedModel, embedded_model, without_head
from quaterion.eval.evaluation import Evaluation
from quaterion.eval.evaluator import Evaluator
from quaterion.eval.mining import mine_hard_negatives
from quaterion.eval.samplers import GroupSampler, PairSampler
from quaterion.eval.scored import ScoredPairMetric

__all__ = [
    "AttachedMetric",
    "Comparison",
    "EmbeddedModel",
    "Evaluation",
    "Evaluator",
    "GroupSampler",
    "MetricComparison",
    "PairSampler",
    "RetrievalMetric",
    "ScoredPairMetric",
    "UnscorableSetError",
    "compare",
    "embedded_model",
    "mine_hard_negatives",
    "without_head",
]
