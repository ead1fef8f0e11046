"""Metrics of a model on a data set."""

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from quaterion.eval.attached_metric import AttachedMetric
from quaterion.eval.base_metric import RetrievalMetric
from quaterion.eval.evaluation import Evaluation, PairAgreement
from quaterion.eval.retrieval_task import RetrievalTask, score_queries
from quaterion.eval.samplers.base_sampler import BaseSampler
from quaterion.eval.scored.scored_pair_metric import ScoredPairMetric

__all__ = ["Evaluator"]

Metric = RetrievalMetric | ScoredPairMetric
Metrics = Metric | AttachedMetric | Sequence[Metric | AttachedMetric] | Mapping[str, Metric]


class Evaluator:
    """Encodes a data set, each distinct object once, and computes metrics of it; all over the same queries.

    Args:
        metrics: One metric, several, or a dict of them. Those outside a dict go by the name of their class.
        sampler: How the data set is read and which queries are evaluated: a `GroupSampler` for metrics of
            `quaterion.eval.group`, a `PairSampler` for those of `quaterion.eval.pair` and `quaterion.eval.scored`.

    Raises:
        TypeError: A metric is of another kind than the sampler.
        ValueError: There is no metric, or two of one name.

    Example:
        >>> import torch
        >>> from quaterion.dataset import SimilarityGroupSample
        >>> from quaterion.eval.group import RetrievalRPrecision
        >>> from quaterion.eval.samplers import GroupSampler
        >>> from quaterion_models import SimilarityModel
        >>> from quaterion_models.encoders import Encoder
        >>> from quaterion_models.heads import EmptyHead
        >>> class Letters(Encoder):
        ...     trainable = False
        ...     embedding_size = 3
        ...     def get_collate_fn(self):
        ...         return lambda texts: torch.tensor([[float(t.count(c)) for c in "abc"] for t in texts])
        ...     def forward(self, batch):
        ...         return batch
        >>> data = [SimilarityGroupSample(text, text[0]) for text in ["aab", "aa", "b", "bbc"]]
        >>> evaluator = Evaluator(RetrievalRPrecision(), GroupSampler(log_progress=False))
        >>> evaluator.evaluate(data, SimilarityModel(Letters(), EmptyHead(3)))
        {'RetrievalRPrecision': tensor(1.)}
    """

    def __init__(self, metrics: Metrics, sampler: BaseSampler) -> None:
        self.metrics = _named(metrics)
        self.sampler = sampler
        if not isinstance(sampler, BaseSampler):
            raise TypeError(f"The sampler is a {type(sampler).__name__}; expected a GroupSampler or a PairSampler.")
        for name, metric in self.metrics.items():
            if not isinstance(metric, sampler.metric_types):
                served = " and ".join(kind.__name__ for kind in sampler.metric_types)
                packages = " or ".join(kind.__module__.rpartition(".")[0] for kind in sampler.metric_types)
                raise TypeError(
                    f"The metric {name!r} is a {type(metric).__name__} of {type(metric).__module__}, but "
                    f"{type(sampler).__name__} serves {served}. Use metrics of {packages}, or the other sampler."
                )

    def evaluate(self, dataset: Any, model: Any) -> dict[str, Tensor]:
        """Computes all metrics.

        Args:
            dataset: Map-style data set or any iterable of samples.
            model: A `SimilarityModel`, or a `TrainableModel` (its `model` is evaluated). Left as it was.

        Returns:
            Value of each metric by its name, on the CPU.

        Raises:
            UnscorableSetError: The metrics have no value on this data set.
            TypeError: The data set holds something else than the sampler's kind of sample, or the model
                cannot encode.
        """
        return self.score(dataset, model).values

    def score(self, dataset: Any, model: Any) -> Evaluation:
        """Computes all metrics, and keeps the score of each query.

        Args:
            dataset: As for `evaluate`.
            model: As for `evaluate`.

        Returns:
            Values, scores of the single queries, and what bootstrap intervals need.
        """
        task = self.sampler.task(dataset, model)
        queries = self.sampler.choose(task.num_relevant)
        retrieval = {name: metric for name, metric in self.metrics.items() if isinstance(metric, RetrievalMetric)}
        scores: dict[str, Tensor] = {}
        if retrieval:
            chosen = task if len(queries) == len(task.queries) else task.choose(queries)
            found = score_queries(chosen, list(retrieval.values()), log_progress=self.sampler.log_progress)
            scores = dict(zip(retrieval, found, strict=True))
        agreements = {
            name: _agreement(metric, task)
            for name, metric in self.metrics.items()
            if isinstance(metric, ScoredPairMetric)
        }
        return Evaluation(
            values={
                name: metric.reduce(scores[name]).cpu()
                if isinstance(metric, RetrievalMetric)
                else agreements[name].value
                for name, metric in self.metrics.items()
            },
            scores={name: values.cpu() for name, values in scores.items()},
            queries=queries.cpu(),
            num_queries=len(task.queries),
            num_left_out=int((task.num_relevant == 0).sum()),
            groups=task.groups,
            agreements=agreements,
            data=task.data,
        )


def _agreement(metric: ScoredPairMetric, task: RetrievalTask) -> PairAgreement:
    if task.scored_pairs is None:
        raise TypeError(
            f"{type(metric).__name__} compares the objects of pairs, but the sampler gave none. Use a PairSampler."
        )
    return PairAgreement(
        value=metric.value(task.scored_pairs).cpu(),
        similarities=task.scored_pairs.similarities(metric.distance_metric_name).cpu(),
        scores=task.scored_pairs.scores.cpu(),
        statistic=metric.score,
    )


def _named(metrics: Metrics) -> dict[str, Metric]:
    pairs: list[tuple[str, Any]]
    if isinstance(metrics, Mapping):
        pairs = list(metrics.items())
    else:
        listed = list(metrics) if isinstance(metrics, Sequence) else [metrics]
        pairs = [(_own_name(metric), metric) for metric in listed]
    if not pairs:
        raise ValueError("Evaluator got no metric. Expected one, a list of them, or a dict of names to metrics.")
    named = {name: metric.metric if isinstance(metric, AttachedMetric) else metric for name, metric in pairs}
    if len(named) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(
            f"Evaluator got two metrics of the name {twice!r}, and results go by name. "
            f"Pass a dict, such as {{'first': {twice}(...), 'second': {twice}(...)}}."
        )
    return named


def _own_name(metric: object) -> str:
    return metric.name if isinstance(metric, AttachedMetric) else type(metric).__name__
