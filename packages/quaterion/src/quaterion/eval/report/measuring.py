"""One model measured on the data of a report: scores of all queries, computed in one pass over the candidates."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from quaterion.distances import Distance
from quaterion.eval import group, pair
from quaterion.eval.base_metric import RetrievalMetric
from quaterion.eval.evaluation import Evaluation, PairAgreement
from quaterion.eval.report.report_data import Kind, ReportData
from quaterion.eval.retrieval_task import RetrievalTask, score_queries
from quaterion.eval.samplers.base_sampler import BaseSampler
from quaterion.eval.scored import PearsonCorrelation, ScoredPairMetric, SpearmanCorrelation

__all__ = ["Measurement", "Metric", "default_metrics", "measure"]

Metric = RetrievalMetric | ScoredPairMetric

CURVE = (1, 2, 3, 5, 10, 20, 50, 100)


@dataclass(frozen=True, eq=False)
class Measurement:
    """What one model does on the data.

    Args:
        whole: The search of all queries.
        task: The search of the queries that were scored.
        evaluation: Scores of these queries by each metric of the comparison.
        recall: Mean recall@k by k.
        reciprocal_ranks: Of the scored queries, `[S]`, NaN where nothing is relevant.
    """

    whole: RetrievalTask
    task: RetrievalTask
    evaluation: Evaluation
    recall: dict[int, float]
    reciprocal_ranks: Tensor


def default_metrics(kind: Kind, task: RetrievalTask, distance: Distance | str) -> dict[str, Metric]:
    """The metrics that a report compares where none are given.

    Args:
        kind: Groups or pairs.
        task: The search: the number of its candidates bounds k, and pairs of various scores have correlations.
        distance: How embeddings are compared.
    """
    module: Any = group if kind == "groups" else pair
    k = min(10, task.num_candidates)
    metrics: dict[str, Metric] = {
        "recall@1": module.RetrievalRecall(1, distance),
        f"recall@{k}": module.RetrievalRecall(k, distance),
        "MRR": module.RetrievalReciprocalRank(distance),
        f"nDCG@{k}": module.NDCG(k, distance),
    }
    if kind == "groups":
        metrics["R-precision"] = group.RetrievalRPrecision(distance)
        metrics["MAP@R"] = group.MeanAveragePrecisionAtR(distance)
    elif task.scored_pairs is not None and bool((task.scored_pairs.scores != task.scored_pairs.scores[0]).any()):
        metrics["Spearman"] = SpearmanCorrelation(distance)
        metrics["Pearson"] = PearsonCorrelation(distance)
    return metrics


def measure(
    data: ReportData,
    model: Any,
    sampler: BaseSampler,
    *,
    metrics: Mapping[str, Metric] | None = None,
    distance: Distance | str = Distance.COSINE,
) -> Measurement:
    """Encodes the data and scores its queries.

    Args:
        data: The data.
        model: A `SimilarityModel`, or a `TrainableModel`; left as it was.
        sampler: How the data is read and which queries are scored.
        metrics: What to compare; None for `default_metrics`.
        distance: How embeddings are compared in everything else.

    Returns:
        The scores.

    Raises:
        UnscorableSetError: No query has anything to find.
    """
    whole = sampler.task(data.samples, model)
    queries = sampler.choose(whole.num_relevant)
    task = whole if len(queries) == len(whole.queries) else whole.choose(queries)
    if metrics is None:
        metrics = default_metrics(data.kind, task, distance)
    curve = [k for k in CURVE if k <= task.num_candidates]
    retrieval = {name: metric for name, metric in metrics.items() if isinstance(metric, RetrievalMetric)}
    # Metrics of groups and of pairs score ranked lists alike; what is relevant is the task's matter.
    every = [
        *retrieval.values(),
        group.RetrievalReciprocalRank(distance),
        *(group.RetrievalRecall(k, distance) for k in curve),
    ]
    scores = [one.cpu() for one in score_queries(task, every)]
    named = dict(zip(retrieval, scores, strict=False))
    agreements = {
        name: _agreement(name, metric, whole)
        for name, metric in metrics.items()
        if isinstance(metric, ScoredPairMetric)
    }
    evaluation = Evaluation(
        values={
            name: metric.reduce(named[name]) if isinstance(metric, RetrievalMetric) else agreements[name].value
            for name, metric in metrics.items()
        },
        scores=named,
        queries=queries.cpu(),
        num_queries=len(whole.queries),
        num_left_out=int((whole.num_relevant == 0).sum()),
        agreements=agreements,
        data=whole.data,
    )
    reciprocal_ranks, *hits = scores[len(retrieval) :]
    recall = {k: float(torch.nanmean(found)) for k, found in zip(curve, hits, strict=True)}
    return Measurement(whole, task, evaluation, recall, reciprocal_ranks)


def _agreement(name: str, metric: ScoredPairMetric, task: RetrievalTask) -> PairAgreement:
    pairs = task.scored_pairs
    if pairs is None:
        raise TypeError(
            f"The metric {name!r} is a {type(metric).__name__}, which compares the objects of pairs, but the data has "
            "groups. Use metrics of quaterion.eval.group."
        )
    return PairAgreement(
        value=metric.value(pairs).cpu(),
        similarities=pairs.similarities(metric.distance_metric_name).cpu(),
        scores=pairs.scores.cpu(),
        statistic=metric.score,
    )
