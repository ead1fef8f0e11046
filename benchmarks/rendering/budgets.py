"""The bars that the project sets itself, beside what was measured."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from rendering.markdown import Measured, table


class Bar(NamedTuple):
    """One bar.

    Attributes:
        what: What is measured.
        source: The benchmark whose results have the figure.
        where: The keys that lead to it there, or what works it out.
        bar: What it should be at most, or at least.
        shown: Format of figure and bar; they are compared as shown.
        at_least: Whether more is better.
    """

    what: str
    source: str
    where: str | Callable[[Measured], float]
    bar: float
    shown: str = "{:.2f}× the time"
    at_least: bool = False

    def figure(self, measured: Measured) -> str:
        """What was measured, as it is shown."""
        if callable(self.where):
            return self.shown.format(self.where(measured))
        found: Any = measured
        for key in self.where.split("/"):
            found = found[key]
        return self.shown.format(found)


def _mining(batch: int) -> Callable[[Measured], float]:
    def read(measured: Measured) -> float:
        (row,) = [row for row in measured["speed"] if (row["loss"], row["batch"]) == ("TripletLoss", batch)]
        return float(row["ratio"])

    return read


def _lost_by_int8(measured: Measured) -> float:
    return 100 * (measured["accuracy"]["torch"] - measured["accuracy"]["int8"])


def _accuracy(measured: Measured) -> float:
    return 100 * measured["banking77"]["after"]["value"]


def _largest_step(measured: Measured) -> float:
    (row,) = [row for row in measured["steps"] if row["pairs"] == 4096]
    return float(row["peak_gib"])


def _lost_by_precision(measured: Measured) -> float:
    return max(0.0, *(-row["points"] for row in measured["results"]))


def _fastest(measured: Measured) -> float:
    return min(row["seconds"] for row in measured["long"].values())


_FASTER = "{:.1f}× as fast"
_SENTENCE_TRANSFORMERS = "against `SentenceTransformer.encode`"
BARS = [
    Bar("cached epoch against a bare loop, batch 1,024", "cache", "epochs/1024/ratio", 1.08),
    Bar("... batch 256", "cache", "epochs/256/ratio", 1.2),
    Bar("... batch 64", "cache", "epochs/64/ratio", 1.4),
    Bar("the framework's part of a step, batch 64", "cache", "epochs/64/framework_ms_per_step", 0.5, "{:.2f} ms"),
    Bar("... batch 1,024", "cache", "epochs/1024/framework_ms_per_step", 0.5, "{:.2f} ms"),
    Bar("1,000 epochs over 10,000 vectors", "cache", "long/seconds", 180, "{:.0f} s"),
    Bar("... on a GPU", "gpu", _fastest, 10, "{:.1f} s"),
    Bar("second run, 20,000 texts: first step", "cache", "start/20,000 texts/seconds_to_first_step", 1, "{:.2f} s"),
    Bar("filling the cache against the encoder's bare forward", "cache", "fill/against_bare_forward", 1.05),
    Bar(f"... {_SENTENCE_TRANSFORMERS}", "cache", "fill/against_sentence_transformers", 1),
    Bar(
        "hard triplets without gradient against the full matrix, batch 1,024", "losses", _mining(1024), 2, _FASTER, True
    ),
    Bar("... batch 4,096", "losses", _mining(4096), 3, _FASTER, True),
    Bar(f"`encode` of 10,000 short texts {_SENTENCE_TRANSFORMERS}", "encode", "speed/ratio", 1),
    Bar("top 10 of 100,000 against faiss `IndexFlatIP`", "evaluation", "time/top_k_against_IndexFlatIP", 1.3),
    Bar("... memory above the data", "evaluation", "memory/mib_above_the_vectors_by_torch", 1024, "{:,.0f} MiB"),
    Bar(
        "exported, float32, against torch, batch 1", "export", "speed/batch 1/against_encode/float32", 3, _FASTER, True
    ),
    Bar("... batch 32", "export", "speed/batch 32/against_encode/float32", 1.1, _FASTER, True),
    Bar("exported, int8, against torch, batch 1", "export", "speed/batch 1/against_encode/int8", 6, _FASTER, True),
    Bar("... batch 32", "export", "speed/batch 32/against_encode/int8", 2, _FASTER, True),
    Bar("... accuracy that int8 loses", "export", _lost_by_int8, 1, "{:.1f} points"),
    Bar("BANKING77 from raw texts to a tuned and evaluated model", "quality", "banking77/seconds", 90, "{:.0f} s"),
    Bar("... its accuracy", "quality", _accuracy, 93.7, "{:.2f} %", True),
    Bar(
        "an epoch of the last layer over a cached trunk, against the whole model",
        "trunk",
        "speedup_over_whole_1",
        3,
        _FASTER,
        True,
    ),
    Bar("... of the last two layers", "trunk", "speedup_over_whole_2", 2, _FASTER, True),
    Bar("4,096 pairs through MiniLM in one step, in chunks", "grad_cache", _largest_step, 6, "{:.2f} GiB"),
    Bar(
        "half precisions against float32 on BANKING77, largest loss",
        "precision",
        _lost_by_precision,
        0.3,
        "{:.2f} points",
    ),
]


def budgets(results: Mapping[str, Measured]) -> list[str]:
    """The bars whose benchmarks have results, by name."""
    rows = [_row(bar, results[bar.source]) for bar in BARS if bar.source in results]
    return table(["what", "bar", "measured", "", "benchmark"], rows)


def _row(bar: Bar, measured: Measured) -> list[str]:
    figure, limit = bar.figure(measured), bar.shown.format(bar.bar)
    value = float(figure.split()[0].rstrip("×").replace(",", ""))
    met = value >= bar.bar if bar.at_least else value <= bar.bar
    limit = f"{'≥' if bar.at_least else '≤'} {limit}"
    return [bar.what, limit, figure, "met" if met else "**missed**", f"`{bar.source}`"]
