"""Metrics over whole data sets, and what runs them: the metrics themselves are in `eval.group` and `eval.pair`."""

from quaterion.eval.attached_metric import AttachedMetric
from quaterion.eval.base_metric import RetrievalMetric, UnscorableSetError
from quaterion.eval.evaluation import Evaluation
from quaterion.eval.evaluator import Evaluator
from quaterion.eval.samplers import GroupSampler, PairSampler

__all__ = [
    "AttachedMetric",
    "Evaluation",
    "Evaluator",
    "GroupSampler",
    "PairSampler",
    "RetrievalMetric",
    "UnscorableSetError",
]
