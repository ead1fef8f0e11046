"""Fills the tables of the pages from the benchmarks' JSON, so that no figure is typed by hand.

    python benchmarks/tables.py                              # every page, from benchmarks/results
    python benchmarks/tables.py --results FOLDER docs/how-to/losses.md

A table stands between <!-- NAME: begin --> and <!-- NAME: end -->, and NAME.json fills it, or the results of several
benchmarks: see rendering/digests.py. What has no results stays as it is.
"""

import argparse
import json
import re
import sys
from collections.abc import Callable
from pathlib import Path

from rendering import quality, training, use
from rendering.digests import DIGESTS
from rendering.markdown import Measured, source
from rendering.side_by_side import side_by_side

ROOT = Path(__file__).resolve().parents[1]
BLOCK = re.compile(r"<!-- ([\w-]+): begin -->\n(.*?)<!-- \1: end -->", re.DOTALL)
TABLES: dict[str, Callable[[Measured], list[str]]] = {
    "cache": training.cache,
    "encode": use.encode,
    "evaluation": use.evaluation,
    "export": use.export,
    "gpu": training.gpu,
    "grad_cache": training.grad_cache,
    "index": use.index,
    "label_errors": quality.label_errors,
    "loss_quality": quality.loss_quality,
    "losses": training.losses,
    "mining": use.mining,
    "precision": training.precision,
    "quality": quality.quality,
    "search": use.search,
    "serve": use.serve,
    "side_by_side": side_by_side,
    "trunk": training.trunk,
}

WORKED_OUT = {"scale"}
"""Tables that a script prints, and that are put into their page by hand: a test compares them."""


def filled(text: str, results: dict[str, Measured]) -> str:
    """The text of a page with its tables filled.

    Args:
        text: The page.
        results: What each benchmark measured, by its name.

    Returns:
        The page, in which blocks without results are as they were.

    Raises:
        KeyError: If a block has a name that no table has.
    """

    def block(match: re.Match[str]) -> str:
        name, before = match[1], match[2].strip()
        lines = _lines(name, results)
        content = "\n".join(lines) if lines else before or f'`make bench ARGS="{name}"` measures it; no results yet.'
        return f"<!-- {name}: begin -->\n{content}\n<!-- {name}: end -->"

    return BLOCK.sub(block, text)


def read_results(folder: Path) -> dict[str, Measured]:
    """What each benchmark measured, by its name.

    Args:
        folder: Where the benchmarks' JSON lies.
    """
    return {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in folder.glob("*.json")}


def _lines(name: str, results: dict[str, Measured]) -> list[str]:
    """What fills a table; nothing where results are missing."""
    if name in DIGESTS:
        digest = DIGESTS[name]
        return digest.write(results) if digest.sources <= set(results) else []
    if name in TABLES:
        return [source(name, results[name]), "", *TABLES[name](results[name])] if name in results else []
    if name in WORKED_OUT:
        return []
    raise KeyError(f"no table is called {name!r}; there are: {', '.join([*TABLES, *DIGESTS])}.")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pages", type=Path, nargs="*", help="pages to fill (all below docs/, and README.md)")
    parser.add_argument("--results", type=Path, default=ROOT / "benchmarks" / "results", help="folder with the JSON")
    arguments = parser.parse_args()
    results = read_results(arguments.results)
    for page in arguments.pages or [ROOT / "README.md", *sorted(ROOT.glob("docs/**/*.md"))]:
        before = page.read_text(encoding="utf-8")
        after = filled(before, results)
        if after != before:
            page.write_text(after, encoding="utf-8")
            print(f"filled {page}")
        missing = {match[1] for match in BLOCK.finditer(after) if match[1] in TABLES} - set(results)
        if missing:
            print(f"{page}: no results of {', '.join(sorted(missing))}", file=sys.stderr)


if __name__ == "__main__":
    main()
