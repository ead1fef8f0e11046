"""Short tables of the figures that matter most, of several benchmarks, for README.md and docs/choosing.md."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from rendering.budgets import budgets
from rendering.markdown import Measured, of_the_time, percent, table

Results = Mapping[str, Measured]
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


def speed(results: Results) -> list[str]:
    cache, encode, export = results["cache"], results["encode"]["speed"], results["export"]
    epochs, one_by_one = cache["epochs"]["1024"], export["speed"]["batch 1"]["against_encode"]
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
            f"{of_the_time(encode['ratio'])} of `SentenceTransformer.encode`",
        ),
        (
            "exact ten nearest among 100,000",
            f"{of_the_time(results['evaluation']['time']['top_k_against_IndexFlatIP'])} of faiss's `IndexFlatIP`",
        ),
        (
            "exported, one text at a time, against torch",
            f"{one_by_one['float32']:.1f} times as fast in float32, {one_by_one['int8']:.1f} times in int8",
        ),
    ]
    return table([f"On {cache['machine']['threads']} CPU threads, all-MiniLM-L6-v2, vectors of 384", ""], rows)


def quality(results: Results) -> list[str]:
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
    head = ["accuracy", "untouched encoder", "`quaterion tune`", "logistic regression", "... with names"]
    return table(head, ([name, *map(_value, values)] for name, *values in rows))


def few_labels(results: Results) -> list[str]:
    rows = []
    for shots, row in results["quality"]["few_shot"].items():
        gain = 100 * (row["tune"]["mean"] - row["nearest neighbours"]["mean"])
        rows.append([shots, percent(row["nearest neighbours"]), percent(row["tune"]), f"+{gain:.1f}"])
    whole = results["quality"]["banking77"]
    gain = 100 * whole["difference"]["value"]
    rows.append(["all, 130 on average", _value(whole["before"]), _value(whole["after"]), f"+{gain:.1f}"])
    return table(["examples of each intent", "untouched", "tuned", "gain, points"], rows)


def loss_families(results: Results) -> list[str]:
    measured = {row["loss"]: row for row in results["loss_quality"]["results"]}
    rows = []
    for family, names in FAMILIES.items():
        ordered = sorted(names, key=lambda name: -measured[name]["recall@1"]["mean"])
        rows.append((family, "<br>".join(f"{name} {_means(measured[name])}" for name in ordered)))
    untouched = measured["none (untouched encoder)"]
    rows.append(("none: untouched", f"{percent(untouched['recall@1'])}, {percent(untouched['r_precision'])}"))
    return table(["labels", "loss: recall@1, R-precision"], rows)


def _means(row: Measured) -> str:
    return f"{percent(row['recall@1']['mean'])}, {percent(row['r_precision']['mean'])}"


def _value(value: Any) -> str:
    if value is None:
        return ""
    return percent(value["value"] if isinstance(value, dict) and "value" in value else value)


def demo(results: Results) -> list[str]:
    before, after = results["demo"]["before"], results["demo"]["after"]

    def shown(found: Measured) -> str:
        return f"{found['value']:.3f} [{found['low']:.3f}, {found['high']:.3f}]"

    rows = (
        (
            name.replace("mrr", "MRR"),
            shown(found),
            shown(after[name]),
            f"{after[name]['value'] - found['value']:+.3f}",
        )
        for name, found in before.items()
    )
    return table(["search", "before training", "after training", "gain"], rows)


class Digest(NamedTuple):
    """A table of several benchmarks.

    Attributes:
        write: Its lines.
        sources: Benchmarks without whose results it is not written.
    """

    write: Callable[[Results], list[str]]
    sources: frozenset[str]


DIGESTS = {
    "budgets": Digest(budgets, frozenset()),
    "speed-digest": Digest(speed, frozenset({"cache", "encode", "evaluation", "export"})),
    "quality-digest": Digest(quality, frozenset({"quality"})),
    "demo-digest": Digest(demo, frozenset({"demo"})),
    "few-labels": Digest(few_labels, frozenset({"quality"})),
    "loss-families": Digest(loss_families, frozenset({"loss_quality"})),
}
