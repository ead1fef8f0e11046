"""The figures of a report, ready for JSON: what the page shows, and what can be read back out of it."""

from collections.abc import Sequence
from itertools import islice
from typing import Any

from quaterion.distances import Distance
from quaterion.eval.comparison import compare
from quaterion.eval.inspection import suspected_label_errors
from quaterion.eval.report.histograms import similarity_histogram
from quaterion.eval.report.measuring import Measurement
from quaterion.eval.report.report_data import ReportData
from quaterion.eval.report.shown_object import clip, show
from quaterion.eval.report.worst_queries import Found, SearchResult, first_results, worst_queries

__all__ = ["comparison", "histograms", "label_errors", "recall_curve", "worst"]


def comparison(after: Measurement, before: Measurement | None) -> dict[str, Any]:
    """Value of each metric with its interval, the difference to the model before, and what it shows.

    Args:
        after: The model.
        before: What it is compared with.
    """
    if before is None:
        intervals = after.evaluation.intervals().items()
        return {"rows": [{"name": clip(name, 60), "after": interval._asdict()} for name, interval in intervals]}
    found = compare(before.evaluation, after.evaluation)
    return {"summary": found.summary, "rows": [row.to_dict() | {"name": clip(row.name, 60)} for row in found.rows]}


def histograms(after: Measurement, before: Measurement | None, distance: Distance | str) -> dict[str, Any]:
    """Similarities of matching and other pairs.

    Args:
        after: The model.
        before: What it is compared with.
        distance: How embeddings are compared.
    """
    named = {"before": before, "after": after}
    return {name: similarity_histogram(one.task, distance).as_dict() for name, one in named.items() if one is not None}


def recall_curve(after: Measurement, before: Measurement | None) -> dict[str, Any]:
    """Recall@k of both models by k.

    Args:
        after: The model.
        before: What it is compared with.
    """
    curve: dict[str, Any] = {"k": list(after.recall)}
    if before is not None:
        curve["before"] = list(before.recall.values())
    curve["after"] = list(after.recall.values())
    return curve


def worst(
    data: ReportData, after: Measurement, before: Measurement | None, *, distance: Distance | str, count: int
) -> dict[str, Any]:
    """Queries that the model serves worst, with the first five of both models.

    Args:
        data: The data.
        after: The model.
        before: What it is compared with.
        distance: How embeddings are compared.
        count: How many queries to show.
    """
    places = worst_queries(after.reciprocal_ranks, count)
    found = {
        name: first_results(one.task, places, data.shown_candidates, metric=distance)
        for name, one in {"before": before, "after": after}.items()
        if one is not None
    }
    numbers = after.evaluation.queries[places].tolist() if places else []
    queries = [
        {
            **_object(data.queries, number, data.groups),
            **{name: _result(results[place], data) for name, results in found.items()},
        }
        for place, number in enumerate(numbers)
    ]
    return {"num_not_first": int((after.reciprocal_ranks < 1).sum()), "queries": queries}


def label_errors(
    data: ReportData, measured: Measurement, *, distance: Distance | str, count: int, k: int = 10
) -> dict[str, Any]:
    """Objects all of whose neighbours are of other groups, the most suspicious first; none for pairs.

    Args:
        data: The data.
        measured: Whose neighbours are looked at.
        distance: How embeddings are compared.
        count: How many to show.
        k: Neighbours that are looked at.
    """
    k = min(k, len(data.samples) - 1)
    if data.kind == "pairs" or count == 0:
        return {"k": k, "num_suspects": 0, "suspects": []}
    found = suspected_label_errors(measured.whole.candidates, data.groups, k=k, distance_metric_name=distance)
    first = zip(found.rows.tolist(), found.suspicion.tolist(), found.examples.tolist(), strict=True)
    suspects = [
        {
            **_object(data.queries, row, data.groups),
            "suspicion": suspicion,
            "suggested": clip(str(data.groups[example]), 60),
            "example": _object(data.queries, example, data.groups),
        }
        for row, suspicion, example in islice(first, count)
    ]
    return {"k": k, "num_suspects": len(found), "suspects": suspects}


def _object(objects: Sequence[Any], row: int, groups: Sequence[Any]) -> dict[str, Any]:
    shown = show(objects[row])
    return {
        "row": row,
        "text": shown.text,
        **({"image": shown.image} if shown.image else {}),
        **({"group": clip(str(groups[row]), 60)} if groups else {}),
    }


def _found(found: Found, data: ReportData) -> dict[str, Any]:
    described = _object(data.candidates, found.row, data.groups)
    return described | {"similarity": found.similarity, "relevant": found.relevant}


def _result(result: SearchResult, data: ReportData) -> dict[str, Any]:
    return {
        "rank": result.rank,
        "best": _found(result.best, data),
        "top": [_found(one, data) for one in result.top],
    }
