"""Whether one model is better than another: both evaluations side by side, and what their difference shows."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from statistics import NormalDist
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor

from quaterion.eval.evaluation import Evaluation, PairAgreement
from quaterion.functional.bootstrap import (
    Interval,
    bootstrap_mean,
    percentile_interval,
    resampled,
    resampled_means,
)

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
        verdict: "better" or "worse" where the interval of the difference, widened where queries are few, lies on one
            side of 0 and enough queries differ, else "no difference shown".
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
    95 %. And since intervals over few queries are too narrow, a verdict is given by one that is wider than the one
    shown, by what Student's t allows for their number: by a fifth for ten, by less than a hundredth from 200 on.

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
    rows = [_of_queries(name, scores, after.scores[name], options) for name, scores in before.scores.items()]
    rows += _of_pairs(before.agreements, after.agreements, options)
    left_out = before.num_left_out if before.scores else 0
    ordered = sorted(rows, key=lambda row: before.names.index(row.name))
    return Comparison(tuple(ordered), _num_counted(before), left_out, confidence)


def _of_queries(name: str, before: Tensor, after: Tensor, options: dict[str, Any]) -> MetricComparison:
    confidence, draw = options["confidence"], {key: options[key] for key in ("resamples", "seed")}
    gains = after - before
    gains = gains[~gains.isnan()]
    means = resampled_means(gains, **draw)
    difference = percentile_interval(float(gains.mean()), means, confidence)
    won, lost, tied = int((gains > 0).sum()), int((gains < 0).sum()), int((gains == 0).sum())
    values = bootstrap_mean(before, **options), bootstrap_mean(after, **options)
    verdict = _verdict(means, len(gains), won + lost, confidence)
    return MetricComparison(name, *values, difference, won, lost, tied, verdict)


def _of_pairs(
    before: Mapping[str, PairAgreement], after: Mapping[str, PairAgreement], options: dict[str, Any]
) -> Iterator[MetricComparison]:
    agreements = [*before.values(), *(after[name] for name in before)]
    if not agreements:
        return
    confidence, count = options["confidence"], len(agreements[0].scores)
    values = [float(agreement.over(torch.ones(1, count))) for agreement in agreements]
    # All over the same samples, which the differences need, and which are drawn once.
    statistics = [agreement.over for agreement in agreements]
    samples = resampled(statistics, count, resamples=options["resamples"], seed=options["seed"])
    intervals = [percentile_interval(value, one, confidence) for value, one in zip(values, samples, strict=True)]
    for one, name in enumerate(before):
        other = one + len(before)
        gains = samples[other] - samples[one]
        difference = percentile_interval(values[other] - values[one], gains, confidence)
        decided = int((agreements[one].similarities != agreements[other].similarities).sum())
        verdict = _verdict(gains, count, decided, confidence)
        yield MetricComparison(name, intervals[one], intervals[other], difference, None, None, None, verdict)


def _verdict(gains: Tensor, count: int, decided: int, confidence: float) -> Verdict:
    """What the gains of resampled sets `[resamples]` show, of `count` queries of which `decided` differ."""
    if 2 * 0.5**decided > 1 - confidence:
        return "no difference shown"
    _, low, high = percentile_interval(0.0, gains, _widened(confidence, count))
    if low > 0:
        return "better"
    return "worse" if high < 0 else "no difference shown"


def _widened(confidence: float, count: int) -> float:
    """The confidence whose percentile interval has, over a few queries, the one that was asked for.

    Percentile intervals of few values are too narrow: their spread is that about the sample's own mean, and its size
    is uncertain. Student's t allows for that (Hesterberg, What Teachers Should Know About the Bootstrap, 2015).
    """
    normal, freedom = NormalDist(), count - 1
    z = normal.inv_cdf((1 + confidence) / 2)
    # Quantile of t by its expansion about the normal one (Abramowitz and Stegun, 26.7.5).
    t = z + (z**3 + z) / (4 * freedom) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * freedom**2)
    wide = 2 * normal.cdf(t * math.sqrt(count / freedom)) - 1
    return min(wide, math.nextafter(1.0, 0.0))  # of a few queries and much confidence, all samples


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
