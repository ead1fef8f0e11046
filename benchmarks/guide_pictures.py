"""Draws the pictures of the guides from what their programs have measured (needs the extra `report`).

    python benchmarks/guide_pictures.py docs/guides/results docs/pictures

Each file of figures gives the pictures of the same name.
"""

import argparse
import json
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import vl_convert

COLOURS = ["#1f6fb4", "#d9822b", "#3a9a5b", "#8a5ab5", "#7a7a7a"]
STYLE = {
    "background": "white",
    "font": "Helvetica, Arial, sans-serif",
    "axis": {"labelFontSize": 11, "titleFontSize": 12, "titleFontWeight": "normal", "gridColor": "#e6e6e6"},
    "legend": {
        "labelFontSize": 12,
        "labelLimit": 400,
        "orient": "bottom",
        "direction": "vertical",
        "title": None,
        "symbolOpacity": 1,
    },
    "title": {"fontSize": 13, "fontWeight": "bold"},
    "view": {"stroke": None},
}
Chart = dict[str, Any]


def quantitative(field: str, title: str | None, **more: Any) -> Chart:
    return {"field": field, "type": "quantitative", "title": title, **more}


def colours(field: str, names: list[str]) -> Chart:
    return {"field": field, "type": "nominal", "scale": {"domain": names, "range": COLOURS[: len(names)]}}


def extreme_classification(measured: Chart) -> dict[str, Chart]:
    """Accuracy on new and on old classes by the number of examples of each new one, with one standard deviation."""
    names = measured["methods"]
    values: dict[tuple[str, int, str], list[float]] = defaultdict(list)
    for row in measured["rows"]:
        for kind in ("new", "old"):
            values[row["method"], row["shots"], kind].append(row[kind])
    points = [
        {"method": names[method], "shots": shots, "kind": kind, "mean": mean(found),
         "low": mean(found) - stdev(found), "high": mean(found) + stdev(found)}
        for (method, shots, kind), found in values.items()
    ]  # fmt: skip
    shots = sorted({point["shots"] for point in points})

    def panel(kind: str, title: str) -> Chart:
        log = {"type": "log", "domain": [shots[0], shots[-1]], "nice": False}
        x = quantitative("shots", "examples of each new class", scale=log, axis={"values": shots})
        colour = colours("method", list(names.values()))
        scale, axis = {"zero": False}, {"format": ".0%"}
        return {
            "title": title,
            "width": 300,
            "height": 240,
            "transform": [{"filter": f"datum.kind == '{kind}'"}],
            "encoding": {"x": x, "color": colour},
            "layer": [
                {
                    "mark": {"type": "area", "opacity": 0.1},
                    "encoding": {
                        "y": quantitative("low", "accuracy", scale=scale, axis=axis),
                        "y2": {"field": "high"},
                    },
                },
                {
                    "mark": {"type": "line", "point": True},
                    "encoding": {"y": quantitative("mean", "accuracy", scale=scale, axis=axis)},
                },
            ],
        }

    panels = [panel("new", "the new classes"), panel("old", "the classes that were there before")]
    return {"extreme_classification": {"data": {"values": points}, "hconcat": panels}}


def anomaly_detection(measured: Chart) -> dict[str, Chart]:
    """How similar test questions are to the nearest example, known intents and hidden ones, with the threshold."""
    panels = []
    for name, shown in measured["histograms"].items():
        edges = shown["edges"]
        bars = [
            {"low": low, "high": high, "questions": kind, "share": count / sum(shown[field])}
            for field, kind in (("known", "known intents"), ("hidden", "hidden intents"))
            for low, high, count in zip(edges, edges[1:], shown[field], strict=False)
        ]
        panels.append(
            {
                "title": name,
                "width": 300,
                "height": 220,
                "layer": [
                    {
                        "data": {"values": bars},
                        "mark": {"type": "bar", "opacity": 0.6, "binSpacing": 0},
                        "encoding": {
                            "x": quantitative("low", "similarity to the nearest example", bin={"binned": True}),
                            "x2": {"field": "high"},
                            "y": quantitative(
                                "share", "share of the questions", stack=None, axis={"format": ".0%", "tickCount": 5}
                            ),
                            "color": colours("questions", ["known intents", "hidden intents"]),
                        },
                    },
                    {
                        "data": {"values": [{"threshold": shown["threshold"]}]},
                        "mark": {"type": "rule", "strokeDash": [5, 4], "strokeWidth": 1.5},
                        "encoding": {"x": {"field": "threshold", "type": "quantitative"}},
                    },
                ],
            }
        )
    return {"anomaly_detection": {"hconcat": panels, "resolve": {"scale": {"y": "shared"}}}}


def matching(measured: Chart) -> dict[str, Chart]:
    """Precision over recall, with the point that the calibrated threshold has reached."""
    names = measured["methods"]
    curves = [
        {"method": names[method], "recall": recall, "precision": precision}
        for method, curve in measured["curves"].items()
        for recall, precision in zip(curve["recall"], curve["precision"], strict=True)
    ]
    points = [
        {"method": names[method], "recall": curve["at"][1], "precision": curve["at"][0]}
        for method, curve in measured["curves"].items()
    ]
    colour = colours("method", list(names.values()))
    x = quantitative("recall", "recall", scale={"domain": [0, 1]}, axis={"format": ".0%"})
    y = quantitative("precision", "precision", scale={"zero": False}, axis={"format": ".0%"})
    chart = {
        "width": 460,
        "height": 280,
        "encoding": {"x": x, "y": y, "color": colour},
        "layer": [
            {"data": {"values": curves}, "mark": {"type": "line", "interpolate": "linear", "clip": True}},
            {"data": {"values": points}, "mark": {"type": "point", "filled": True, "size": 90}},
        ],
    }
    return {"matching": chart}


def semantic_search(measured: Chart) -> dict[str, Chart]:
    """Quality of each method; whiskers are one standard deviation over splits and trainings."""
    return {"semantic_search": leaderboard(measured, {"mrr": "MRR", "recall@1": "recall@1", "recall@10": "recall@10"})}


def recommendations(measured: Chart) -> dict[str, Chart]:
    """Recall@10 of each method for modules with links and for new ones; whiskers are one standard deviation."""
    panels = {"known": "recall@10, known modules", "new": "recall@10, new modules"}
    return {"recommendations": leaderboard(measured, panels)}


def leaderboard(measured: Chart, panels: dict[str, str]) -> Chart:
    """Bars of all methods, side by side for several metrics."""
    names = measured["methods"]

    def panel(metric: str, title: str, *, first: bool) -> Chart:
        points = []
        for method, name in names.items():
            found = [row[metric] for row in measured["rows"] if row["method"] == method]
            middle, spread = mean(found), stdev(found)
            points.append({"method": name, "mean": middle, "low": middle - spread, "high": middle + spread})
        y = {"field": "method", "type": "nominal", "sort": None, "title": None}
        y["axis"] = {"labelLimit": 400, "ticks": False, "domain": False} if first else None
        return {
            "title": title,
            "width": 190,
            "height": {"step": 26},
            "data": {"values": points},
            "encoding": {"y": y},
            "layer": [
                {
                    "mark": {"type": "bar", "color": COLOURS[0], "opacity": 0.8},
                    "encoding": {"x": quantitative("mean", None, axis={"format": ".0%", "tickCount": 4})},
                },
                {
                    "mark": {"type": "rule", "strokeWidth": 1.5},
                    "encoding": {"x": quantitative("low", None), "x2": {"field": "high"}},
                },
            ],
        }

    return {"hconcat": [panel(*item, first=place == 0) for place, item in enumerate(panels.items())]}


GUIDES: dict[str, Callable[[Chart], dict[str, Chart]]] = {
    "extreme_classification": extreme_classification,
    "anomaly_detection": anomaly_detection,
    "matching": matching,
    "recommendations": recommendations,
    "semantic_search": semantic_search,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("figures", type=Path, help="folder with the programs' JSON")
    parser.add_argument("pictures", type=Path, help="folder to write to")
    arguments = parser.parse_args()
    for guide, draw in GUIDES.items():
        file = arguments.figures / f"{guide}.json"
        if not file.is_file():
            continue
        for name, chart in draw(json.loads(file.read_text(encoding="utf-8"))).items():
            drawn = vl_convert.vegalite_to_svg(json.dumps({**chart, "config": STYLE}))
            (arguments.pictures / f"{name}.svg").write_text(drawn, encoding="utf-8")


if __name__ == "__main__":
    main()
