"""Fills the short tables of README.md and docs/choosing.md: the figures that matter most, of several benchmarks.

    python benchmarks/digests.py README.md docs/choosing.md

A page gets those digests that it has a place for.
"""

import argparse
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

Results = dict[str, Any]
"""What the benchmarks wrote, by the name of the benchmark."""

FAMILIES = {
    "groups, objects compared with each other": (
        "MultiSimilarityLoss", "SupConLoss", "FastAPLoss", "CircleLoss",
        "TripletLoss semi_hard", "OnlineContrastiveLoss", "TripletLoss all", "TripletLoss hard",
    ),
    "groups, class weights": (
        "ArcFaceLoss", "CosFaceLoss", "SoftmaxLoss + CenterLoss", "SoftmaxLoss", "ProxyAnchorLoss",
    ),
    "pairs that belong together": ("MultipleNegativesRankingLoss",),
    "pairs with scores": ("CoSENTLoss", "ContrastiveLoss", "CosineSimilarityLoss"),
}  # fmt: skip


def speed(results: Results) -> str:
    cache, encode, export = results["cache"], results["encode"]["speed"], results["export"]
    epochs, one_by_one = cache["epochs"]["1024"], export["speed"]["batch 1"]["against_encode"]
    machine = cache["machine"]
    rows = [
        (
            "an epoch over 1,024 texts, cached against uncached",
            f"{cache['uncached']['1024']['times_as_fast']:.0f} times as fast",
        ),
        (
            "an epoch over 20,000 cached vectors, batch 1,024",
            f"{1 / epochs['epochs_per_second']['fit']:.2f} s, {epochs['ratio']:.2f} of a bare loop's time",
        ),
        ("1,000 epochs over 10,000 vectors", f"{cache['long']['seconds']:.0f} s"),
        (
            f"`encode`, {encode['texts']:,} short texts",
            f"{encode['ratio']:.2f} of the time of `SentenceTransformer.encode`",
        ),
        (
            "exact ten nearest among 100,000",
            f"{results['evaluation']['time']['top_k_against_IndexFlatIP']:.2f} of the time of faiss's `IndexFlatIP`",
        ),
        (
            "exported, one text at a time, against torch",
            f"{one_by_one['float32']:.1f} times as fast in float32, {one_by_one['int8']:.1f} times in int8",
        ),
    ]
    where = f"On {machine['threads']} CPU threads, all-MiniLM-L6-v2, vectors of 384"
    return "\n".join([f"| {where} | |", "|---|---|", *(f"| {name} | {value} |" for name, value in rows)])


def quality(results: Results) -> str:
    measured = results["quality"]
    whole, pairs = measured["banking77"], measured["stsb"]
    baselines = ("logistic regression", "the same with names")
    rows = [
        ("BANKING77, all texts", whole["before"], whole["after"], *(whole["baselines"][name] for name in baselines))
    ]
    for shots, row in measured["few_shot"].items():
        if shots in {"1", "4", "16"}:
            columns = ("nearest neighbours", "tune", *baselines)
            rows.append((f"... {shots} of each of 77 intents", *(row[name] for name in columns)))
    rows.append(("STS-B, Spearman", pairs["before"], pairs["after"], None, None))
    lines = [
        "| accuracy | untouched encoder | `quaterion tune` | logistic regression | ... with names |",
        "|---|---|---|---|---|",
    ]
    return "\n".join([*lines, *(f"| {name} | {' | '.join(map(_percent, values))} |" for name, *values in rows)])


def few_labels(results: Results) -> str:
    few = results["quality"]["few_shot"]
    lines = ["| examples of each intent | untouched | tuned | gain, points |", "|---|---|---|---|"]
    for shots, row in few.items():
        gain = 100 * (row["tune"]["mean"] - row["nearest neighbours"]["mean"])
        lines.append(f"| {shots} | {_percent(row['nearest neighbours'])} | {_percent(row['tune'])} | +{gain:.1f} |")
    whole = results["quality"]["banking77"]
    gain = 100 * whole["difference"]["value"]
    lines.append(f"| all, 130 on average | {_percent(whole['before'])} | {_percent(whole['after'])} | +{gain:.1f} |")
    return "\n".join(lines)


def loss_families(results: Results) -> str:
    measured = {row["loss"]: row for row in results["loss_quality"]["results"]}
    lines = ["| labels | loss: recall@1, R-precision |", "|---|---|"]
    for family, names in FAMILIES.items():
        ordered = sorted(names, key=lambda name: -measured[name]["recall@1"]["mean"])
        figures = [
            f"{name} {100 * measured[name]['recall@1']['mean']:.1f}, {100 * measured[name]['r_precision']['mean']:.1f}"
            for name in ordered
        ]
        lines.append(f"| {family} | {'<br>'.join(figures)} |")
    untouched = measured["none (untouched encoder)"]
    lines.append(f"| none: untouched | {100 * untouched['recall@1']:.1f}, {100 * untouched['r_precision']:.1f} |")
    return "\n".join(lines)


def _percent(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, dict) and "mean" in value:
        return f"{100 * value['mean']:.1f} ± {100 * value['sd']:.1f}"
    return f"{100 * (value['value'] if isinstance(value, dict) else value):.1f}"


DIGESTS: dict[str, Callable[[Results], str]] = {
    "speed-digest": speed,
    "quality-digest": quality,
    "few-labels": few_labels,
    "loss-families": loss_families,
}


def filled(page: str, results: Results) -> str:
    """A page with its digests."""

    def block(match: re.Match[str]) -> str:
        name = match[1]
        return (
            f"<!-- {name}: begin -->\n{DIGESTS[name](results)}\n<!-- {name}: end -->" if name in DIGESTS else match[0]
        )

    return re.sub(r"<!-- ([\w-]+): begin -->.*?<!-- \1: end -->", block, page, flags=re.DOTALL)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pages", type=Path, nargs="+", help="pages with <!-- NAME: begin --> and <!-- NAME: end -->")
    parser.add_argument("--results", type=Path, default=Path(__file__).parent / "results", help="JSON of benchmarks")
    arguments = parser.parse_args()
    results = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in arguments.results.glob("*.json")}
    for page in arguments.pages:
        page.write_text(filled(page.read_text(encoding="utf-8"), results), encoding="utf-8")


if __name__ == "__main__":
    main()
