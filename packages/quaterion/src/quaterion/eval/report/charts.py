"""The pictures of a report as Vega-Lite charts: what is drawn from which figures.

Colours are names of the page's style, `var(--name)`, which the page replaces by those of its light or dark theme. The
map's points are no part of its chart: the page takes them from the figures, so that they are in the file once.
"""

from typing import Any

from quaterion.eval.report.training_log import TrainingCurves, families

__all__ = ["charts"]

Chart = dict[str, Any]

LEGEND_GROUPS = 10
"""Groups that get a colour of their own and a legend; more share colours, and are told apart by hovering."""

PALETTE = [f"var(--group-{number})" for number in range(LEGEND_GROUPS)]
SCHEMA = "https://vega.github.io/schema/vega-lite/v6.json"


def charts(figures: dict[str, Any]) -> dict[str, Chart]:
    """All charts by the id of the element that they are drawn in.

    Args:
        figures: The figures of the report.

    Returns:
        Vega-Lite specifications, ready for JSON.
    """
    found = {f"histogram-{name}": chart for name, chart in _histograms(figures["histograms"]).items()}
    found["recall"] = _recall(figures["recall"])
    if figures["reliability"]:
        for kind, curves in figures["reliability"]["kinds"].items():
            found[f"reliability-{kind}"] = _reliability(curves)
    for name in ("before", "after"):
        if name in figures["map"]:
            found[f"map-{name}"] = _map(figures["map"]["groups"], len(figures["map"]["row"]))
    if figures.get("training"):
        found |= {f"training-{place}": chart for place, chart in enumerate(_training(figures["training"]))}
    return {name: {"$schema": SCHEMA, **chart} for name, chart in found.items()}


def _histograms(histograms: dict[str, Any]) -> dict[str, Chart]:
    shares = {name: _shares(histogram) for name, histogram in histograms.items()}
    # Both pictures show the same range, so that one can be held against the other.
    used = [row for rows in shares.values() for row in rows if row["share"] > 0]
    low, high = min(row["low"] for row in used), max(row["high"] for row in used)
    highest = max(row["share"] for row in used)
    colour = {
        "field": "pairs", "type": "nominal", "title": None, "legend": {"orient": "top"},
        "scale": {"domain": ["matching", "other"], "range": ["var(--matching)", "var(--other)"]},
    }  # fmt: skip
    return {
        name: {
            "width": "container",
            "height": 170,
            "data": {"values": [row for row in rows if low <= row["low"] and row["high"] <= high]},
            "mark": {"type": "bar", "opacity": 0.62, "binSpacing": 0, "cursor": "default"},
            "encoding": {
                "x": {"field": "low", "type": "quantitative", "title": "similarity", "bin": {"binned": True},
                      "scale": {"domain": [low, high], "nice": False}, "axis": {"tickCount": 6, "format": ".4~g"}},
                "x2": {"field": "high"},
                "y": {"field": "share", "type": "quantitative", "title": "share of the pairs", "stack": None,
                      "scale": {"domain": [0, highest]}, "axis": {"format": ".0%", "tickCount": 4}},
                "color": colour,
                "tooltip": [
                    {"field": "pairs", "title": "pairs"},
                    {"field": "low", "title": "from", "format": ".4~g"},
                    {"field": "high", "title": "to", "format": ".4~g"},
                    {"field": "count", "title": "count", "format": ","},
                    {"field": "share", "title": "share", "format": ".2%"},
                ],
            },
        }
        for name, rows in shares.items()
    }  # fmt: skip


def _shares(histogram: dict[str, Any]) -> list[dict[str, Any]]:
    edges = histogram["edges"]
    rows = []
    for pairs in ("other", "matching"):
        total = sum(histogram[pairs]) or 1
        rows += [
            {"pairs": pairs, "low": round(low, 9), "high": round(high, 9), "count": count, "share": count / total}
            for low, high, count in zip(edges, edges[1:], histogram[pairs], strict=False)
        ]
    return rows


def _recall(curve: dict[str, Any]) -> Chart:
    rows = [
        {"k": k, "model": name, "recall": value}
        for name in ("before", "after")
        if name in curve
        for k, value in zip(curve["k"], curve[name], strict=True)
    ]
    return {
        "width": "container",
        "height": 240,
        "data": {"values": rows},
        "mark": {"type": "line", "point": {"size": 42, "filled": True}, "strokeWidth": 2.25},
        "encoding": {
            "x": {"field": "k", "type": "quantitative", "title": "k",
                  "scale": {"type": "log", "domain": [curve["k"][0], max(2, curve["k"][-1])], "nice": False},
                  "axis": {"values": curve["k"], "format": "d", "grid": False}},
            "y": {"field": "recall", "type": "quantitative", "title": "recall@k",
                  "scale": {"zero": False, "nice": True}, "axis": {"format": ".0%", "tickCount": 5}},
            **_models([name for name in ("before", "after") if name in curve]),
            "tooltip": [{"field": "model"}, {"field": "k"}, {"field": "recall", "format": ".4f"}],
        },
    }  # fmt: skip


def _reliability(curves: dict[str, Any]) -> Chart:
    rows = [
        {"model": name, "confidence": confidence, "accuracy": accuracy, "count": count}
        for name in ("before", "after")
        if name in curves
        for confidence, accuracy, count in zip(
            curves[name]["confidence"], curves[name]["accuracy"], curves[name]["counts"], strict=True
        )
        if count
    ]
    share: Chart = {"type": "quantitative", "scale": {"domain": [0, 1]}, "axis": {"format": ".0%", "tickCount": 5}}
    models = _models([name for name in ("before", "after") if name in curves])
    return {
        "width": "container",
        "height": 260,
        "data": {"values": rows},
        "encoding": {
            "x": {"field": "confidence", "title": "confidence", **share},
            "y": {"field": "accuracy", "title": "right", **share},
        },
        "layer": [
            {"data": {"values": [{"confidence": end, "accuracy": end} for end in (0, 1)]},
             "mark": {"type": "line", "color": "var(--muted)", "strokeDash": [2, 4], "strokeWidth": 1.25}},
            {"mark": {"type": "line", "strokeWidth": 2.25}, "encoding": models},
            {
                "mark": {"type": "circle", "opacity": 0.85},
                "encoding": {
                    "color": models["color"],
                    "size": {"field": "count", "type": "quantitative", "legend": None,
                             "scale": {"range": [16, 320], "zero": True}},
                    "tooltip": [
                        {"field": "model"},
                        {"field": "confidence", "format": ".3f"},
                        {"field": "accuracy", "title": "right", "format": ".3f"},
                        {"field": "count", "title": "objects", "format": ","},
                    ],
                },
            },
        ],
    }  # fmt: skip


def _models(models: list[str]) -> Chart:
    """Colour and dashes of the curves; one curve needs no legend."""
    legend = {"orient": "top", "symbolType": "stroke", "symbolStrokeWidth": 2.25} if len(models) > 1 else None
    colours = [f"var(--{name})" for name in models]
    dashes = [[5, 3] if name == "before" else [1, 0] for name in models]
    named = {"field": "model", "type": "nominal", "title": None, "legend": legend}
    return {
        "color": {**named, "scale": {"domain": models, "range": colours}},
        "strokeDash": {**named, "scale": {"domain": models, "range": dashes}},
    }


def _map(groups: list[str], num_points: int) -> Chart:
    numbers = list(range(min(len(groups), LEGEND_GROUPS)))
    legend = {
        "orient": "top", "direction": "horizontal", "columns": 3, "symbolOpacity": 1, "labelLimit": 110,
        "labelExpr": "labels[datum.value]",
    }  # fmt: skip
    hidden: Chart = {"type": "quantitative", "axis": None, "scale": {"zero": False, "nice": False, "padding": 8}}
    chosen = "chosen < 0 || datum.group === chosen"
    return {
        "width": "container",
        "height": 400,
        "params": [{"name": "chosen", "value": -1}, {"name": "labels", "value": groups[:LEGEND_GROUPS]}],
        "data": {"name": "points"},
        "transform": [{"calculate": f"datum.group % {LEGEND_GROUPS}", "as": "colour"}],
        "mark": {"type": "circle", "size": 34 if num_points < 1500 else 20 if num_points < 5000 else 12},
        "encoding": {
            "x": {"field": "x", **hidden},
            "y": {"field": "y", **hidden},
            "color": {"field": "colour", "type": "nominal", "title": None,
                      "legend": legend if 1 < len(groups) <= LEGEND_GROUPS else None,
                      "scale": {"domain": numbers, "range": PALETTE[: len(numbers)]}},
            "tooltip": {"field": "place"},  # the page shows text and thumbnail of that place
            "opacity": {"condition": {"test": chosen, "value": 0.78}, "value": 0.05},
        },
    }  # fmt: skip


def _training(training: TrainingCurves) -> list[Chart]:
    axis = training["axis"]
    found: list[Chart] = []
    drawn = [name for name, curve in training["curves"].items() if curve["y"]]
    for family, names in families(drawn).items():
        rows = [
            {"x": x, "y": y, "logged": name}
            for name in names
            for x, y in zip(training["curves"][name]["x"], training["curves"][name]["y"], strict=True)
        ]
        colours = PALETTE * (1 + len(names) // len(PALETTE))
        few = len(rows) <= 60 * len(names)
        found.append({
            "width": "container",
            "height": 170,
            "title": {"text": family, "anchor": "start", "limit": 280},
            "data": {"values": rows},
            "mark": {"type": "line", "point": {"size": 24} if few else False, "strokeWidth": 1.75, "clip": True},
            "encoding": {
                "x": {"field": "x", "type": "quantitative", "title": axis, "axis": {"tickCount": 5, "grid": False}},
                "y": {"field": "y", "type": "quantitative", "title": None, "scale": {"zero": False},
                      "axis": {"tickCount": 4}},
                "color": {"field": "logged", "type": "nominal", "title": None,
                          "legend": {"orient": "top", "columns": 2, "labelLimit": 140},
                          "scale": {"domain": names, "range": colours[: len(names)]}},
                "tooltip": [{"field": "logged"}, {"field": "x", "title": axis}, {"field": "y", "title": "value"}],
            },
        })  # fmt: skip
    return found
