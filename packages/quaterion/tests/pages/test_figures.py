"""Tables of figures on the pages are written by benchmarks/tables.py, not by hand."""

import sys

import pytest

from page_blocks import PAGES, ROOT

sys.path.insert(0, str(ROOT / "benchmarks"))
import tables

MACHINE = {"python": "3.12.1", "torch": "2.9.0", "threads": 2, "cores": 4, "processor": "arm", "gpu": None}
LOSSES = {
    "machine": MACHINE,
    "speed": [
        {"loss": "TripletLoss", "batch": 1024, "ratio": 1.96},
        {"loss": "TripletLoss", "batch": 4096, "ratio": 3.04},
    ],
    "memory": [{"loss": "SupConLoss", "rows": 16384, "peak_gib": 0.444}],
}
EMPTY = "Before.\n\n<!-- losses: begin -->\n<!-- losses: end -->\n\nAfter.\n"
FILLED = """Before.

<!-- losses: begin -->
Measured by `benchmarks/losses.py` (`make bench ARGS="losses"`) on 2 CPU threads (arm), with torch 2.9.0, Python 3.12.1.

| loss | batch | times as fast |
|---|---|---|
| TripletLoss | 1,024 | 1.96 |
| TripletLoss | 4,096 | 3.04 |

Largest resident set of a process that runs one step on one large batch:

| loss | rows | GiB |
|---|---|---|
| SupConLoss | 16,384 | 0.4 |
<!-- losses: end -->

After.
"""


@pytest.mark.parametrize("page", PAGES)
def test_every_table_of_figures_names_its_script(page):
    for match in tables.BLOCK.finditer((ROOT / page).read_text(encoding="utf-8")):
        name, content = match.groups()
        if name not in tables.TABLES:  # of several benchmarks, or worked out
            continue
        assert (ROOT / "benchmarks" / f"{name}.py").is_file()
        assert f"`benchmarks/{name}.py`" in content or f'make bench ARGS="{name}"' in content, f"{page}: {name}"


@pytest.mark.parametrize("page", ["docs/performance.md", "docs/quality.md"])
def test_pages_of_figures_have_no_other_tables(page):
    by_hand = tables.BLOCK.sub("", (ROOT / page).read_text(encoding="utf-8"))
    assert not [line for line in by_hand.splitlines() if line.startswith("|")]


def test_a_table_is_written_from_results_and_written_anew_from_others():
    assert tables.filled(EMPTY, {"losses": LOSSES}) == FILLED
    assert tables.filled(FILLED, {"losses": LOSSES}) == FILLED
    faster = LOSSES | {"speed": [{"loss": "TripletLoss", "batch": 1024, "ratio": 5.0}]}
    assert "| TripletLoss | 1,024 | 5.00 |" in tables.filled(FILLED, {"losses": faster})


@pytest.mark.parametrize("page", PAGES)
def test_the_tables_are_those_of_the_results_that_lie_beside_the_benchmarks(page):
    text = (ROOT / page).read_text(encoding="utf-8")
    assert tables.filled(text, tables.read_results(ROOT / "benchmarks" / "results")) == text


def test_what_has_no_results_stays_and_says_how_to_get_them():
    assert tables.filled(FILLED, {}) == FILLED
    assert '`make bench ARGS="losses"` measures it; no results yet.' in tables.filled(EMPTY, {})


def test_a_bar_is_met_or_missed_by_the_figure_as_it_is_shown():
    page = "<!-- budgets: begin -->\n<!-- budgets: end -->\n"
    rows = [line.split(" | ") for line in tables.filled(page, {"losses": LOSSES}).splitlines() if "≥" in line]
    # 1.96 is shown as 2.0, and the bars are 2 and 3
    assert [row[2:4] for row in rows] == [["2.0× as fast", "met"], ["3.0× as fast", "met"]]
    slower = LOSSES | {"speed": [row | {"ratio": row["ratio"] - 1} for row in LOSSES["speed"]]}
    assert tables.filled(page, {"losses": slower}).count("**missed**") == 2


def test_an_unknown_table_is_an_error():
    with pytest.raises(KeyError, match="no table is called 'nothing'; there are: cache,"):
        tables.filled("<!-- nothing: begin -->\n<!-- nothing: end -->", {})


def test_side_by_side_names_those_that_did_better():
    def method(accuracy: float, cpu_seconds: float) -> dict[str, object]:
        run = {"accuracy": accuracy, "cpu_seconds": cpu_seconds, "seconds": 100.0}
        return {
            "package": "one",
            "version": "1.0",
            "settings": "defaults",
            "draws": 1,
            "accuracy": {"mean": accuracy, "sd": 0.0},
            "cpu_seconds": {"mean": cpu_seconds, "sd": 0.0},
            "first_draw": run,
        }

    methods = {"quaterion.tune": method(0.8, 50), "slow and good": method(0.9, 60), "fast and bad": method(0.7, 10)}
    page = tables.filled(
        "<!-- side_by_side: begin -->\n<!-- side_by_side: end -->\n",
        {"side_by_side": {"machine": MACHINE, "methods": methods}},
    )
    assert "more accurate than `quaterion.tune`: slow and good. With less CPU time: fast and bad." in page
    rows = [line.split(" | ")[0] for line in page.splitlines() if "| defaults |" in line]
    assert rows == ["| slow and good", "| quaterion.tune", "| fast and bad"]
