"""What `quaterion evaluate` prints and writes."""

import io
import json

import torch
from rich.console import Console

from quaterion.cli.evaluate_report import figures_as_json, print_figures
from quaterion.dataset.files import read_samples
from quaterion.eval import Evaluation
from quaterion.eval.comparison import compare

SAMPLES = read_samples([{"text": f"text [bold]{number}[/]", "group": number % 2} for number in range(8)])


def evaluation(*scores: float, num_queries: int = 8, num_left_out: int = 0) -> Evaluation:
    values = torch.tensor(scores, dtype=torch.float64)
    mean = values[~values.isnan()].mean()
    return Evaluation({"mrr": mean}, {"mrr": values}, torch.arange(len(scores)), num_queries, num_left_out)


def printed(found: Evaluation, *, terminal: bool = False, **options: object) -> str:
    file = io.StringIO()
    console = Console(file=file, width=80, force_terminal=terminal, color_system=None, highlight=False, markup=False)
    print_figures(SAMPLES, "my[model]", found, console=console, **options)  # type: ignore[arg-type]
    return file.getvalue()


def test_queries_that_count_were_drawn_and_were_left_out_are_told() -> None:
    assert "Over 8 queries. Intervals" in " ".join(printed(evaluation(*[1.0] * 8)).split())
    left_out = evaluation(*[1.0] * 6, torch.nan, torch.nan, num_left_out=2)
    assert "Over 6 queries. Left out: 2 with nothing to find." in printed(left_out)
    assert "Over 3 of 8 queries." in printed(evaluation(1.0, 0.0, 1.0))


def test_only_metrics_of_the_table_are_explained() -> None:
    text = printed(evaluation(*[1.0] * 8))
    assert "mrr: mean of 1 / rank" in text
    assert "recall@k" not in text
    assert "Model: my[model]" in text


def test_a_comparison_into_a_file_is_not_wrapped() -> None:
    before, after = evaluation(*[0.0] * 7, 1.0), evaluation(*[1.0] * 8)
    text = printed(after, before="encoder", comparison=compare(before, after))
    (row,) = [line for line in text.splitlines() if line.strip().startswith("mrr ")]
    assert row.split()[-4:] == ["7", "0", "1", "better"]
    interval = compare(before, after).rows[0].difference
    assert f"+0.875 [{interval.low:+.3f}, {interval.high:+.3f}]" in row
    assert "Before: the encoder of my[model] alone\nAfter:  my[model]\n" in text
    assert "Better by mrr." in text


def test_a_comparison_in_a_narrow_terminal_is_short_and_cuts_nothing() -> None:
    before, after = evaluation(*[0.0] * 7, 1.0), evaluation(*[1.0] * 8)
    text = printed(after, terminal=True, before="other", comparison=compare(before, after))
    (row,) = [line for line in text.splitlines() if line.startswith("mrr ")]
    interval = compare(before, after).rows[0].difference
    assert row.split() == [
        *["mrr", "0.125", "1.000", "+0.875", f"[{interval.low:+.3f},", f"{interval.high:+.3f}]"],
        *["7", ":", "0", "better"],
    ]
    same = compare(before, before)
    assert "no difference\n" in printed(before, terminal=True, before="x", comparison=same).replace(" \n", "\n")
    assert "Better by mrr." in text


def test_the_json_has_the_figures_of_the_table_and_of_the_comparison() -> None:
    before, after = evaluation(*[0.0] * 7, 1.0), evaluation(*[1.0] * 8)
    comparison = compare(before, after)
    content = json.loads(figures_as_json(SAMPLES, "model", after, before="other", comparison=comparison))
    assert content["metrics"] == {"mrr": {"value": 1.0, "low": 1.0, "high": 1.0}}
    assert (content["before"], content["comparison"]) == ("other", comparison.to_dict())
    assert content["data"]["samples"] == 8
    assert "comparison" not in json.loads(figures_as_json(SAMPLES, "model", after))
