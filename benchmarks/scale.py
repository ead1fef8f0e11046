"""What 1 million, 100 million and 1 billion objects take in memory, hours and money, worked out from measured rates.

Nothing is timed here: each rate is an argument, and its default was measured by the script that `--help` names, on 2
cores of a CPU with all-MiniLM-L6-v2 and vectors of 384. The table of docs/how-to/scale.md is what this prints.

    python benchmarks/scale.py
    python benchmarks/scale.py --fill-rate 20000 --price 3      # a machine with a GPU, as you measured and pay it
"""

import argparse
import json
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

SIZES = {1_000_000: 1, 100_000_000: 16, 1_000_000_000: 128}
"""Objects, and machines that encode them side by side."""
MILLION = 1_000_000
HOUR = 3600
GIB, GB = 2**30, 10**9


def rate(default: float, text: str) -> Any:
    return field(default=default, metadata={"help": text})


@dataclass(frozen=True)
class Rates:
    """What the figures come from."""

    fill_rate: float = rate(275, "texts that a machine encodes in a second (benchmarks/cache.py; 275 to 450 by length)")
    train_rate: float = rate(42_000, "vectors that a step takes in a second, from disk (benchmarks/cache.py)")
    index_seconds: float = rate(341, "seconds to index a million vectors, saves included (benchmarks/index.py)")
    index_gib: float = rate(2.58, "GiB that indexing a million vectors takes (benchmarks/index.py)")
    dimension: float = rate(384, "numbers of a vector")
    beside: float = rate(58, "bytes that the cache keeps of an object beside its vector (benchmarks/cache.py)")
    held: float = rate(86, "bytes of an object that training holds beside vectors on disk (benchmarks/cache.py)")
    epochs: float = rate(10, "epochs of training")
    trained_on: float = rate(10 * MILLION, "objects that a head is trained on at most")
    price: float = rate(0.10, "price of a machine for an hour")


def worked_out(objects: int, machines: int, rates: Rates) -> dict[str, float]:
    """Figures of one size: bytes, hours of one machine, and the price of all of them."""
    fill = objects / rates.fill_rate / HOUR
    epoch = objects / rates.train_rate / HOUR
    trained_on = min(objects, rates.trained_on)
    train = rates.epochs * trained_on / rates.train_rate / HOUR
    index = objects / MILLION * rates.index_seconds / HOUR
    return {
        "objects": objects,
        "machines": machines,
        "cache_float16": objects * (2 * rates.dimension + rates.beside),
        "cache_float32": objects * (4 * rates.dimension + rates.beside),
        "fill": fill,
        "fill_with_machines": fill / machines,
        "epoch": epoch,
        "train": train,
        "train_bytes": trained_on * rates.held,
        "index": index,
        "index_bytes": objects / MILLION * rates.index_gib * GIB,
        "cost": (fill + train + index) * rates.price,
    }


def table(columns: list[dict[str, float]], rates: Rates) -> str:
    """The figures in Markdown, a column for each size."""
    rows = {
        "cache, float16": [_bytes(one["cache_float16"]) for one in columns],
        "cache, float32": [_bytes(one["cache_float32"]) for one in columns],
        f"fill, {rates.fill_rate:,.0f} texts a second and machine": [_hours(one["fill"]) for one in columns],
        "... side by side": [f"{_hours(one['fill_with_machines'])} on {one['machines']:,}" for one in columns],
        "an epoch over all": [_hours(one["epoch"]) for one in columns],
        f"train, {rates.epochs:,.0f} epochs of at most {_count(rates.trained_on)}": [
            _hours(one["train"]) for one in columns
        ],
        "... memory, with vectors on disk": [_bytes(one["train_bytes"]) for one in columns],
        "index": [_hours(one["index"]) for one in columns],
        "... memory while it is made": [_bytes(one["index_bytes"]) for one in columns],
        f"cost of fill, train and index, {rates.price:.2f} an hour": [f"{one['cost']:,.2f}" for one in columns],
    }
    head = ["objects", *(_count(one["objects"]) for one in columns)]
    lines = [head, ["---"] * len(head), *([name, *cells] for name, cells in rows.items())]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _count(number: float) -> str:
    return f"{number / MILLION:,.0f} million" if number < 1000 * MILLION else f"{number / MILLION / 1000:,.0f} billion"


def _bytes(number: float) -> str:
    return f"{number / GB:,.1f} GB" if number < 1000 * GB else f"{number / GB / 1000:,.1f} TB"


def _hours(number: float) -> str:
    return (
        f"{number * HOUR:,.0f} s"
        if number < 0.025
        else f"{number * 60:,.0f} min"
        if number < 1.5
        else f"{number:,.0f} h"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for one in fields(Rates):
        text = f"{one.metadata['help']} (default {one.default:,.10g})"
        parser.add_argument(f"--{one.name.replace('_', '-')}", type=positive, default=one.default, help=text)
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    arguments = vars(parser.parse_args())
    target: Path | None = arguments.pop("json")
    rates = Rates(**arguments)
    columns = [worked_out(objects, machines, rates) for objects, machines in SIZES.items()]
    text = table(columns, rates)
    print(text)
    if target is not None:
        content = {"rates": asdict(rates), "sizes": columns, "table": text}
        target.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def positive(text: str) -> float:
    number = float(text)
    if not 0 < number < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is not above 0")
    return number


if __name__ == "__main__":
    main()
