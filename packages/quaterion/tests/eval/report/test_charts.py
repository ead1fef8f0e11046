"""What the charts draw is what the figures say, and Vega-Lite takes every chart."""

import json

import pytest

from quaterion.eval.report import Report
from quaterion.eval.report.charts import charts

LOG = [{"step": step, "train_loss": 1 / (step + 1), "validation_loss": 0.5, "mrr_validation": 0.1} for step in range(4)]


@pytest.fixture(scope="module", params=["groups", "pairs"])
def figures(request, group_case, pair_case):
    case = group_case() if request.param == "groups" else pair_case()
    report = Report(case.after, case.samples, before=case.before, training_log=LOG, log_progress=False)
    return report.figures()


def test_vega_lite_compiles_every_chart_and_finds_nothing_odd(figures, capfd):
    vl_convert = pytest.importorskip("vl_convert")
    found = charts(figures)
    reliability = ["reliability-neighbours"] if figures["kind"] == "groups" else []
    assert list(found) == [
        "histogram-before", "histogram-after", "recall", *reliability, "map-before", "map-after", "training-0",
        "training-1",
    ]  # fmt: skip
    for chart in found.values():
        compiled = vl_convert.vegalite_to_vega(json.loads(json.dumps(chart)), vl_version="6.4")
        assert compiled["marks"]
    assert "WARN" not in "".join(capfd.readouterr())


def test_histograms_draw_shares_that_add_up_to_one_over_one_range(figures):
    found = charts(figures)
    domains = []
    for name in ("before", "after"):
        chart = found[f"histogram-{name}"]
        domains.append(chart["encoding"]["x"]["scale"]["domain"])
        for pairs in ("matching", "other"):
            rows = [row for row in chart["data"]["values"] if row["pairs"] == pairs]
            assert sum(row["share"] for row in rows) == pytest.approx(1)
            assert sum(row["count"] for row in rows) == sum(figures["histograms"][name][pairs])
    assert domains[0] == domains[1]


def test_the_recall_chart_draws_the_curve(figures):
    rows = charts(figures)["recall"]["data"]["values"]
    for name in ("before", "after"):
        assert [row["recall"] for row in rows if row["model"] == name] == figures["recall"][name]


def test_the_reliability_chart_draws_the_bins_that_hold_objects(group_case):
    case = group_case()
    figures = Report(case.after, case.samples, before=case.before, log_progress=False).figures()
    rows = charts(figures)["reliability-neighbours"]["data"]["values"]
    for name in ("before", "after"):
        bins = figures["reliability"]["kinds"]["neighbours"][name]
        expected = [
            {"model": name, "confidence": confidence, "accuracy": accuracy, "count": count}
            for confidence, accuracy, count in zip(bins["confidence"], bins["accuracy"], bins["counts"], strict=True)
            if count
        ]
        assert [row for row in rows if row["model"] == name] == expected
        assert 0 < len(expected) < 10


def test_the_training_charts_draw_what_was_logged_stages_together(figures):
    found = charts(figures)
    assert [found[f"training-{place}"]["title"]["text"] for place in (0, 1)] == ["loss", "mrr"]
    rows = found["training-0"]["data"]["values"]
    assert [row["y"] for row in rows if row["logged"] == "train_loss"] == [1, 1 / 2, 1 / 3, 1 / 4]


def test_a_curve_without_a_finite_value_is_not_drawn(group_case):
    case = group_case()
    log = [{"train_loss": float("nan"), "validation_loss": 0.5, "lr": float("inf")}]
    found = charts(Report(case.after, case.samples, training_log=log, log_progress=False).figures())
    assert [name for name in found if name.startswith("training")] == ["training-0"]
    assert [row["logged"] for row in found["training-0"]["data"]["values"]] == ["validation_loss"]


def test_colours_are_names_of_the_style_and_text_of_the_data_is_no_expression(group_case):
    case = group_case()
    for sample in case.samples:
        sample.group = f"{sample.group}' + alert(1) + '"
    found = charts(Report(case.after, case.samples, log_progress=False).figures())["map-after"]
    assert found["params"][1]["value"][0] == "group 0' + alert(1) + '"  # a value, looked up by number
    assert "alert" not in json.dumps([found["transform"], found["encoding"]])
    assert set(found["encoding"]["color"]["scale"]["range"]) <= {f"var(--group-{number})" for number in range(10)}
