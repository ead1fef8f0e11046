"""Whether one model is better than another: both evaluations side by side, and what their difference shows."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor

from quaterion.eval.evaluation import Evaluation
from quaterion.functional.bootstrap import Interval, bootstrap_mean, bootstrap_statistic

if TYPE_CHECKING:
    from rich.console import Group

__all__ = ["Comparison", "MetricComparison", "Verdict", "compare"]

Verdict = Literal["better", "worse", "no difference shown"]

_COLUMNS = ("metric", "before", "after", "difference", "won", "lost", "tied", "verdict")


@dataclass(frozen=True)
class MetricComparison:
    """One metric of two models over the same queries.

    Args:
        name: Name of the metric.
        before: Its value before, with its bootstrap interval.
        after: Its value after.
        difference: After minus before, with the bootstrap interval of the paired difference.
        won: Queries that score higher after; None for metrics of scored pairs, which have no score of a query.
        lost: Queries that score lower after.
        tied: Queries that score the same.
        verdict: "better" or "worse" where the interval of the difference lies on one side of 0 and enough queries
            differ, else "no difference shown".
    """

    name: str
    before: Interval
    after: Interval
    difference: Interval
    won: int | None
    lost: int | None
    tied: int | None
    verdict: Verdict

    def to_dict(self) -> dict[str, Any]:
        """The comparison as dictionaries, numbers and texts, ready for JSON."""
        intervals = {name: getattr(self, name)._asdict() for name in ("before", "after", "difference")}
        counts = {name: getattr(self, name) for name in ("won", "lost", "tied")}
        return {"name": self.name, **intervals, **counts, "verdict": self.verdict}


@dataclass(frozen=True)
class Comparison:
    """All metrics of two models over the same queries; print it, or show it with rich.

    Args:
        rows: One comparison for each metric.
        num_queries: Queries that count; pairs where all metrics are of scored pairs.
        num_left_out: Queries of the whole set that have nothing relevant, and so no part in any value.
        confidence: Probability that the intervals have.
    """

    rows: tuple[MetricComparison, ...]
    num_queries: int = 0
    num_left_out: int = 0
    confidence: float = 0.95

    @property
    def summary(self) -> str:
        """Says in words what the comparison shows."""
        better, worse = ([row.name for row in self.rows if row.verdict == verdict] for verdict in ("better", "worse"))
        if better and worse:
            return f"Mixed: better by {', '.join(better)}, but worse by {', '.join(worse)}."
        if worse:
            return f"Not better: worse by {', '.join(worse)}."
        if not better:
            return "Not better: no metric shows a difference between before and after."
        rest = [row.name for row in self.rows if row.name not in better]
        return f"Better by {', '.join(better)}" + (f"; no difference shown by {', '.join(rest)}." if rest else ".")

    @property
    def basis(self) -> str:
        """Says in words over what the values are, and what the brackets hold."""
        counted = "pairs" if self.rows and all(row.won is None for row in self.rows) else "queries"
        left_out = f", {self.num_left_out:,} left out (nothing relevant)" if self.num_left_out else ""
        return (
            f"{self.num_queries:,} {counted}{left_out}. In brackets: {100 * self.confidence:g} % bootstrap intervals."
        )

    def to_dict(self) -> dict[str, Any]:
        """The comparison as dictionaries, lists, numbers and texts, ready for JSON."""
        return {
            "summary": self.summary,
            "num_queries": self.num_queries,
            "num_left_out": self.num_left_out,
            "confidence": self.confidence,
            "metrics": [row.to_dict() for row in self.rows],
        }

    def __str__(self) -> str:
        table = [_COLUMNS, *self._cells()]
        widths = [max(len(row[column]) for row in table) for column in range(len(_COLUMNS))]
        lines = [
            "  ".join(
                cell.ljust(width) if column in (0, len(_COLUMNS) - 1) else cell.rjust(width)
                for column, (cell, width) in enumerate(zip(row, widths, strict=True))
            ).rstrip()
            for row in table
        ]
        return "\n".join([*lines, "", self.basis, self.summary])

    def __rich__(self) -> "Group":
        from rich import box
        from rich.console import Group
        from rich.table import Table
        from rich.text import Text

        table = Table(box=box.SIMPLE_HEAD, show_edge=False)
        for column in _COLUMNS:
            table.add_column(column, justify="left" if column in ("metric", "verdict") else "right")
        colours = {"better": "green", "worse": "red", "no difference shown": "dim"}
        for row, cells in zip(self.rows, self._cells(), strict=True):
            # As Text, since names of metrics and intervals may hold what rich would read as markup.
            *others, verdict = (Text(cell) for cell in cells)
            verdict.stylize(colours[row.verdict])
            table.add_row(*others, verdict)
        return Group(table, Text(""), Text(self.basis, style="dim"), Text(self.summary, style="bold"))

    def _cells(self) -> Iterator[tuple[str, ...]]:
        for row in self.rows:
            counts = ("" if count is None else f"{count:,}" for count in (row.won, row.lost, row.tied))
            intervals = (_cell(row.before), _cell(row.after), _cell(row.difference, sign="+"))
            yield row.name, *intervals, *counts, row.verdict


def compare(
    before: Evaluation,
    after: Evaluation,
    *,
    confidence: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
) -> Comparison:
    """Compares two models by their evaluations over the same queries.

    Each sample of the bootstrap draws queries, and takes the scores of both models for them: what is hard for both
    does not blur the difference. Values are mean scores, whatever `reduce_func` a metric has.

    An interval tells chance from a difference only where several queries differ. So a verdict also needs so many of
    them that, were each a toss of a coin, all falling on one side would be rarer than the confidence allows: six for
    95 %.

    Args:
        before: Evaluation of one model, from `Evaluator.score`.
        after: Evaluation of the other, by the same metrics and sampler on the same data.
        confidence: Probability that the intervals are to have.
        resamples: Number of samples drawn.
        seed: Seed of the draw.

    Returns:
        For each metric both values, the difference, and what it shows.

    Raises:
        TypeError: An argument is no `Evaluation`.
        ValueError: The evaluations are of different metrics, queries or data, or an argument is out of range.

    Example:
        >>> def evaluation(*scores):
        ...     scores = torch.tensor(scores, dtype=torch.float64)
        ...     return Evaluation({"mrr": scores.mean()}, {"mrr": scores}, torch.arange(8), 8, num_left_out=0)
        >>> tuned = compare(evaluation(0, 0, 0, 0, 0, 0, 0, 1), evaluation(1, 1, 1, 0.5, 1, 1, 1, 1))
        >>> tuned.rows[0].verdict, tuned.rows[0].won, tuned.rows[0].tied, tuned.summary
        ('better', 7, 1, 'Better by mrr.')
        >>> print(compare(evaluation(0, 1, 0, 1, 0, 1, 0, 1), evaluation(1, 0, 0, 1, 0, 1, 0, 1)).summary)
        Not better: no metric shows a difference between before and after.
    """
    _check_comparable(before, after)
    options: dict[str, Any] = {"confidence": confidence, "resamples": resamples, "seed": seed}
    intervals = before.intervals(**options), after.intervals(**options)
    rows = []
    for name in intervals[0]:
        if name in before.scores:
            gains = after.scores[name] - before.scores[name]
            difference = bootstrap_mean(gains, **options)
            counts = (int((gains > 0).sum()), int((gains < 0).sum()), int((gains == 0).sum()))
            decided = counts[0] + counts[1]
        else:
            difference, decided = _difference_over_pairs(before, after, name, options)
            counts = None
        won, lost, tied = counts or (None, None, None)
        verdict = _verdict(difference, decided, confidence)
        rows.append(
            MetricComparison(name, intervals[0][name], intervals[1][name], difference, won, lost, tied, verdict)
        )
    left_out = before.num_left_out if before.scores else 0
    return Comparison(tuple(rows), _num_counted(before), left_out, confidence)


def _difference_over_pairs(
    before: Evaluation, after: Evaluation, name: str, options: dict[str, Any]
) -> tuple[Interval, int]:
    """Difference of a metric of scored pairs, and how many pairs the models find differently similar."""
    one, other = before.agreements[name], after.agreements[name]

    def gain(rows: Tensor) -> float:
        return other.over(rows) - one.over(rows)

    decided = int((one.similarities != other.similarities).sum())
    return bootstrap_statistic(gain, len(one.scores), **options), decided


def _verdict(difference: Interval, decided: int, confidence: float) -> Verdict:
    if 2 * 0.5**decided > 1 - confidence:
        return "no difference shown"
    if difference.low > 0:
        return "better"
    return "worse" if difference.high < 0 else "no difference shown"


def _num_counted(evaluation: Evaluation) -> int:
    for scores in evaluation.scores.values():
        return int((~scores.isnan()).sum())
    return max((len(agreement.scores) for agreement in evaluation.agreements.values()), default=0)


def _check_comparable(before: Evaluation, after: Evaluation) -> None:
    for name, evaluation in (("before", before), ("after", after)):
        if not isinstance(evaluation, Evaluation):
            raise TypeError(
                f"{name} is a {type(evaluation).__name__}; expected an Evaluation, as Evaluator.score(...) returns it."
            )
    names, other_names = ([*evaluation.scores, *evaluation.agreements] for evaluation in (before, after))
    if names != other_names:
        raise ValueError(
            f"The evaluations are of different metrics: {names} before and {other_names} after. "
            "Score both models with one Evaluator."
        )
    reason = _difference_of_queries(before, after)
    if reason:
        raise ValueError(
            f"The evaluations are of different queries: {reason}. A paired comparison needs the same ones: score both "
            "models with one Evaluator on one data set."
        )


def _difference_of_queries(before: Evaluation, after: Evaluation) -> str:
    if before.num_queries != after.num_queries:
        return f"of {before.num_queries} before and of {after.num_queries} after"
    if not torch.equal(before.queries, after.queries):
        return f"other ones of {before.num_queries} were drawn before than after"
    if before.data is not None and after.data is not None and before.data != after.data:
        return "the data sets hold other objects or labels"
    for name in before.scores:
        if not torch.equal(before.scores[name].isnan(), after.scores[name].isnan()):
            return f"{name} leaves out other ones before than after"
    for name, agreement in before.agreements.items():
        if not torch.equal(agreement.scores, after.agreements[name].scores):
            return f"the pairs have other scores for {name} before than after"
    return ""


def _cell(interval: Interval, sign: str = "") -> str:
    if math.isnan(interval.value):
        return "none"
    return f"{interval.value:{sign}.3f} [{interval.low:{sign}.3f}, {interval.high:{sign}.3f}]"
