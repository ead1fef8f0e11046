"""Fills the tables of the docs from the benchmarks' JSON, so that no figure is typed by hand.

    python benchmarks/tables.py docs/losses.md loss_quality.json losses.json

Each file's name says which table of the page it fills.
"""

import argparse
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any


def loss_quality(measured: dict[str, Any]) -> str:
    lines = ["| loss | recall@1 | R-precision | learning rate |", "|---|---|---|---|"]
    for row in measured["results"]:
        cells = [_percent(row[metric]) for metric in ("recall@1", "r_precision")]
        lines.append(f"| {row['loss']} | {' | '.join(cells)} | {row.get('learning_rate', '')} |")
    return "\n".join(lines)


def _percent(value: Any) -> str:
    if isinstance(value, dict):
        return f"{100 * value['mean']:.1f} ± {100 * value['sd']:.1f}"
    return f"{100 * value:.1f}"


def losses(measured: dict[str, Any]) -> str:
    lines = ["| loss | batch | times as fast |", "|---|---|---|"]
    lines += [f"| {row['loss']} | {row['batch']:,} | {row['ratio']:.2f} |" for row in measured.get("speed", [])]
    lines += ["", "Largest resident set of a process that runs one step on one large batch:", ""]
    lines += ["| loss | rows | GiB |", "|---|---|---|"]
    lines += [f"| {row['loss']} | {row['rows']:,.0f} | {row['peak_gib']:.1f} |" for row in measured.get("memory", [])]
    return "\n".join(lines)


TABLES: dict[str, Callable[[dict[str, Any]], str]] = {"loss_quality": loss_quality, "losses": losses}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("page", type=Path, help="a page with <!-- NAME: begin --> and <!-- NAME: end --> in it")
    parser.add_argument("results", type=Path, nargs="+", help="JSON that benchmarks wrote")
    arguments = parser.parse_args()
    text = arguments.page.read_text(encoding="utf-8")
    for path in arguments.results:
        table = TABLES[path.stem](json.loads(path.read_text(encoding="utf-8")))
        begin, end = f"<!-- {path.stem}: begin -->", f"<!-- {path.stem}: end -->"
        pattern = re.compile(f"{re.escape(begin)}.*?{re.escape(end)}", re.DOTALL)
        if not pattern.search(text):
            parser.error(f"{arguments.page} has no place for {path.stem}: expected {begin} and {end} in it.")
        text = pattern.sub(lambda _, filled=f"{begin}\n{table}\n{end}": filled, text)
    arguments.page.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
