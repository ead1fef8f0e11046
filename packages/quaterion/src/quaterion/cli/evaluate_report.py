"""What `quaterion evaluate` prints and writes: a table of metrics, or two models side by side."""

import json
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console, RenderableType
from rich.measure import Measurement
from rich.table import Table

from quaterion.dataset.files import Samples
from quaterion.eval import Evaluation
from quaterion.eval.comparison import Comparison

__all__ = ["figures_as_json", "print_figures"]

MEANING = {
    "recall@": "recall@k: share of texts that find one that belongs to them among the first k.",
    "precision@": "precision@k: how many of the first k found belong to the text.",
    "ndcg@": "ndcg@k: the first k found, the higher the more; 1 is the best order.",
    "mrr": "mrr: mean of 1 / rank of the first found text that belongs.",
    "r_precision": "r_precision: R texts belong to it; how many of them are among the first R?",
    "map@r": "map@r: the same, and their order counts.",
    "spearman": "spearman, pearson: correlation of similarities with scores, by rank and by value.",
    "average_precision": "average_precision, roc_auc: do pairs that match come before those that do not?",
    "best_f1": "best_f1: F1 at the threshold that suits these very pairs best.",
}


def print_figures(
    samples: Samples,
    model: str,
    evaluation: Evaluation,
    *,
    before: str | None = None,
    comparison: Comparison | None = None,
    seed: int = 0,
    console: Console | None = None,
) -> None:
    """Prints about the data, and the metrics of a model, or of two.

    Args:
        samples: The data.
        model: What the user calls the model.
        evaluation: Its evaluation.
        before: What the user calls the model that it is compared with.
        comparison: The comparison, where there is one.
        seed: Seed of the intervals.
        console: Where to print; standard output by default.
    """
    console = console or Console(highlight=False, markup=False)
    console.print(str(samples), soft_wrap=True)
    if comparison is None:
        console.print(f"Model: {model}\n", soft_wrap=True)
        _print_whole(console, _table(evaluation, seed))
        console.print(f"\n{_basis(samples, evaluation)}", style="dim")
    else:
        other = f"the encoder of {model} alone" if before == "encoder" else before
        console.print(f"Before: {other}\nAfter:  {model}\n", soft_wrap=True)
        _print_comparison(console, comparison)
    console.print()
    for start, meaning in MEANING.items():
        if any(name.startswith(start) for name in evaluation.values):
            console.print(meaning, style="dim")


def figures_as_json(
    samples: Samples,
    model: str,
    evaluation: Evaluation,
    *,
    before: str | None = None,
    comparison: Comparison | None = None,
    seed: int = 0,
) -> str:
    """All figures, for other programs.

    Args:
        samples: The data.
        model: What the user calls the model.
        evaluation: Its evaluation.
        before: What the user calls the model that it is compared with.
        comparison: The comparison, where there is one.
        seed: Seed of the intervals.

    Returns:
        JSON.
    """
    intervals = evaluation.intervals(seed=seed)
    content: dict[str, Any] = {
        "model": str(Path(model)),
        "data": {
            "name": samples.name,
            "kind": samples.kind,
            "rows": samples.num_rows,
            "samples": len(samples),
            "columns": samples.columns,
            "score_range": samples.score_range,
            "remarks": samples.counts,
        },
        "queries": len(evaluation.queries),
        "left_out": evaluation.num_left_out,
        "confidence": 0.95,
        "metrics": {name: interval._asdict() for name, interval in intervals.items()},
    }
    if comparison is not None:
        content |= {"before": before, "comparison": comparison.to_dict()}
    return json.dumps(content, indent=2) + "\n"


def _table(evaluation: Evaluation, seed: int) -> Table:
    table = Table(box=box.SIMPLE_HEAD, show_edge=False)
    table.add_column("metric", no_wrap=True)
    table.add_column("value", justify="right", no_wrap=True)
    table.add_column("95 % interval", justify="right", no_wrap=True)
    for name, interval in evaluation.intervals(seed=seed).items():
        table.add_row(name, f"{interval.value:.4f}", f"{interval.low:.4f} to {interval.high:.4f}")
    return table


def _basis(samples: Samples, evaluation: Evaluation) -> str:
    if samples.kind == "scored pairs":
        return f"Over {len(samples):,} pairs. Intervals: what other pairs of the kind would give (bootstrap)."
    counted = min(len(evaluation.queries), evaluation.num_queries - evaluation.num_left_out)
    of = "" if counted == evaluation.num_queries - evaluation.num_left_out else f" of {evaluation.num_queries:,}"
    left_out = ""
    if evaluation.num_left_out:
        left_out = f" Left out: {evaluation.num_left_out:,} with nothing to find."
    return f"Over {counted:,}{of} queries.{left_out} Intervals: what other queries of the kind would give (bootstrap)."


def _print_comparison(console: Console, comparison: Comparison) -> None:
    if not console.is_terminal or _width(console, comparison) <= console.width:
        _print_whole(console, comparison)
        return
    # Where it is narrow, one interval says most: that of the difference.
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("metric", no_wrap=True)
    for name in ("before", "after", "difference", "won : lost"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("verdict", no_wrap=True)
    for row in comparison.rows:
        low, high = row.difference.low, row.difference.high
        counts = "" if row.won is None else f"{row.won:,} : {row.lost:,}"
        cells = [
            f"{row.before.value:.3f}",
            f"{row.after.value:.3f}",
            f"{row.difference.value:+.3f} [{low:+.3f}, {high:+.3f}]",
        ]
        table.add_row(row.name, *cells, counts, row.verdict.removesuffix(" shown"))
    console.print(table)
    console.print(f"\n{comparison.basis}", style="dim")
    console.print(comparison.summary, style="bold")


def _print_whole(console: Console, figures: RenderableType) -> None:
    """Prints a table unwrapped into a file; in a terminal rich makes the best of its width."""
    width = _width(console, figures)
    if not console.is_terminal and width > console.width:
        console = Console(file=console.file, width=width, highlight=False, markup=False)
    console.print(figures)


def _width(console: Console, figures: RenderableType) -> int:
    return Measurement.get(console, console.options.update(max_width=1000), figures).maximum
