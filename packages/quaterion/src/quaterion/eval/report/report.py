"""A report of a model on a data set."""

import math
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch

from quaterion.distances import Distance
from quaterion.eval.base_metric import RetrievalMetric
from quaterion.eval.report import figures as parts
from quaterion.eval.report.facts import model_facts, software_facts
from quaterion.eval.report.measuring import Measurement, Metric, measure
from quaterion.eval.report.object_map import object_map
from quaterion.eval.report.projection import Method, check_projection
from quaterion.eval.report.reliability_figures import reliability_figures
from quaterion.eval.report.report_data import ReportData
from quaterion.eval.report.shown_object import clip
from quaterion.eval.report.training_log import training_curves
from quaterion.eval.scored import ScoredPairMetric

__all__ = ["Report"]


class Report:
    """Shows what a model does on a data set, and what it did before it was tuned, in one HTML file.

    The file holds the comparison table, similarities of matching and other pairs, recall@k, a map, the queries that
    are served worst, training curves, and facts about data and model; of groups also how far confidence can be relied
    on, and suspected label errors. It loads nothing. All of its figures stand in it once more as JSON, in the element
    with the id `figures`.

    In a data set of groups every object is searched among all others. In one of pairs every first object is searched
    among all second objects and explicit negatives.

    Args:
        model: A `SimilarityModel`, or a `TrainableModel`.
        dataset: `SimilarityGroupSample` or `SimilarityPairSample`: a map-style data set or any iterable.
        before: The model to compare with, or None.
        metrics: What to compare, by name: metrics of `quaterion.eval.group` for groups, of `quaterion.eval.pair` and
            `quaterion.eval.scored` for pairs. None for recall@1, recall@10, MRR, nDCG@10, for groups also R-precision
            and MAP@R, and for pairs of various scores also Spearman and Pearson.
        training_log: What the training logged: dictionaries, or the folder of Lightning's CSVLogger.
        title: Heading of the page.
        facts: More to say at the end of the page: headings, and under each of them names and values. What has the
            heading of the report's own facts (`"data"`, `"model"`, `"model before"`, `"software"`) takes their place.
        distance_metric_name: How embeddings are compared in all but the metrics that are given.
        projection: How the map is made: `"pca"`, `"umap"`, or `"auto"` for UMAP where it is installed.
        num_worst: Queries to show.
        num_suspects: Suspected label errors to show.
        sample_size: Number of queries to score, always over all candidates; −1 for all. The map shows 10,000 objects
            at most.
        encode_batch_size: Objects in a batch of the encoder.
        device: Where to encode and to search; None for where the model is.
        log_progress: Whether to show progress bars, on standard error.
        seed: Seed of all that is drawn.

    Raises:
        ValueError: An argument is out of range.
        TypeError: A metric is none.
        ImportError: UMAP is asked for and not installed.

    Example:
        >>> from quaterion.dataset import SimilarityGroupSample
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
        >>> report = Report(SimilarityModel(Letters(), EmptyHead(3)), data, log_progress=False)
        >>> report.figures()["comparison"]["rows"][0]
        {'name': 'recall@1', 'after': {'value': 1.0, 'low': 1.0, 'high': 1.0}}
        >>> report.save("report.html")  # doctest: +SKIP
    """

    def __init__(
        self,
        model: Any,
        dataset: Any,
        *,
        before: Any = None,
        metrics: Mapping[str, Metric] | None = None,
        training_log: str | Path | Iterable[Mapping[str, Any]] | None = None,
        title: str = "Similarity report",
        facts: Mapping[str, Mapping[str, Any]] | None = None,
        distance_metric_name: Distance | str = Distance.COSINE,
        projection: Method = "auto",
        num_worst: int = 20,
        num_suspects: int = 30,
        sample_size: int = -1,
        encode_batch_size: int = 32,
        device: torch.device | str | None = None,
        log_progress: bool = True,
        seed: int = 0,
    ) -> None:
        for name, value in (("num_worst", num_worst), ("num_suspects", num_suspects)):
            if value < 0:
                raise ValueError(f"{name}={value}; expected how many to show, 0 for none.")
        check_projection(projection)
        if metrics is not None:
            _check_metrics(metrics)
        self.model = model
        self.dataset = dataset
        self.before = before
        self.metrics = metrics
        self.training_log = training_log
        self.title = title
        self.facts = facts or {}
        self.distance_metric_name = Distance(distance_metric_name)
        self.projection = projection
        self.num_worst = num_worst
        self.num_suspects = num_suspects
        self.seed = seed
        self._sampling = {
            "sample_size": sample_size,
            "encode_batch_size": encode_batch_size,
            "device": device,
            "log_progress": log_progress,
            "seed": seed,
        }
        self._figures: dict[str, Any] | None = None

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes the page; a file that is there is replaced, in one step.

        Args:
            path: The file, such as `report.html`.

        Raises:
            ImportError: The extra `report` is not installed.
            UnscorableSetError: No query of the data has anything to find.
            OSError: The file cannot be written.
        """
        target = Path(path)
        page = self.to_html()
        target.parent.mkdir(parents=True, exist_ok=True)
        beside = target.with_name(f".{target.name}.{os.getpid()}")
        try:
            beside.write_text(page, encoding="utf-8")
            beside.replace(target)
        finally:
            beside.unlink(missing_ok=True)

    def to_html(self) -> str:
        """The page as text.

        Raises:
            ImportError: The extra `report` is not installed.
            UnscorableSetError: No query of the data has anything to find.
        """
        from quaterion.eval.report.page import check_installed, render_page

        check_installed()
        return render_page(self.figures())

    def figures(self) -> dict[str, Any]:
        """All figures of the report, computed on the first call; every number is finite, missing ones are None.

        Raises:
            UnscorableSetError: No query of the data has anything to find.
        """
        if self._figures is None:
            self._figures = self._compute()
        return self._figures

    def _compute(self) -> dict[str, Any]:
        # What is quickly wrong comes before what takes long.
        training = None if self.training_log is None else training_curves(self.training_log)
        data = ReportData.read(self.dataset)
        before = None if self.before is None else self._measure(data, self.before)
        after = self._measure(data, self.model)
        measured = {"after": (self.model, after)}
        if before is not None:
            measured = {"before": (self.before, before), **measured}
        distance = self.distance_metric_name
        evaluation = after.evaluation
        found = {
            "format_version": 1,
            "title": clip(str(self.title), 120),
            "kind": data.kind,
            "distance": str(distance.value),
            "queries": {
                "all": evaluation.num_queries,
                "scored": int((~after.reciprocal_ranks.isnan()).sum()),
                "left_out": evaluation.num_left_out,
                "candidates": len(data.shown_candidates),
                "sampled": len(evaluation.queries) < evaluation.num_queries,
            },
            "comparison": parts.comparison(after, before),
            "histograms": parts.histograms(after, before, distance),
            "recall": parts.recall_curve(after, before),
            "reliability": reliability_figures(data, measured, distance=distance),
            "map": object_map(data, after, before, method=self.projection, metric=str(distance.value), seed=self.seed),
            "worst": parts.worst(data, after, before, distance=distance, count=self.num_worst),
            # A model that was trained on wrong labels has begun to believe them.
            "label_errors": parts.label_errors(data, before or after, distance=distance, count=self.num_suspects),
            "training": training,
            "facts": self._all_facts(data, after),
        }
        finite: dict[str, Any] = _without_nan(found)
        return finite

    def _all_facts(self, data: ReportData, after: Measurement) -> dict[str, dict[str, Any]]:
        facts: dict[str, Mapping[str, Any]] = {"data": data.facts(after.whole), "model": model_facts(self.model)}
        if self.before is not None:
            facts["model before"] = model_facts(self.before)
        facts |= {"software": software_facts(), **self.facts}
        return {
            clip(str(heading), 60): {
                clip(str(name), 60): value if isinstance(value, int | float) else clip(str(value), 300)
                for name, value in named.items()
            }
            for heading, named in facts.items()
        }

    def _measure(self, data: ReportData, model: Any) -> Measurement:
        sampler = data.sampler(**self._sampling)
        return measure(data, model, sampler, metrics=self.metrics, distance=self.distance_metric_name)


def _check_metrics(metrics: Any) -> None:
    if not isinstance(metrics, Mapping):
        raise TypeError(f"metrics is a {type(metrics).__name__}; expected a dict of names to metrics.")
    if not metrics:
        raise ValueError("metrics is empty; expected names to metrics, or None for the usual ones.")
    for name, metric in metrics.items():
        if not isinstance(metric, RetrievalMetric | ScoredPairMetric):
            raise TypeError(
                f"The metric {name!r} is a {type(metric).__name__}; expected one of quaterion.eval.group, "
                "quaterion.eval.pair or quaterion.eval.scored, such as RetrievalPrecision(k=1)."
            )


def _without_nan(value: Any) -> Any:
    """The same with None for numbers that JSON does not know."""
    if isinstance(value, dict):
        return {key: _without_nan(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_without_nan(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
