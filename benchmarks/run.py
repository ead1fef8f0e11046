"""Runs the benchmarks whose names contain one of the arguments, or all: see README.md."""

import importlib
import json
import sys
from pathlib import Path

FOLDER = Path(__file__).parent


def main(wanted: list[str]) -> int:
    sys.path.insert(0, str(FOLDER))
    from harness import machine

    names = sorted(path.stem.removeprefix("bench_") for path in FOLDER.glob("bench_*.py"))
    chosen = [name for name in names if not wanted or any(part in name for part in wanted)]
    if not chosen:
        print(f"No benchmark is called like {wanted}; there are: {', '.join(names)}.", file=sys.stderr)
        return 2
    (FOLDER / "results").mkdir(exist_ok=True)
    for name in chosen:
        figures = importlib.import_module(f"bench_{name}").run()
        file = FOLDER / "results" / f"{name}.json"
        file.write_text(json.dumps({"machine": machine(), **figures}, indent=2) + "\n", encoding="utf-8")
        for figure, value in figures.items():
            if isinstance(value, int | float):
                print(f"{name}: {figure} = {value:.3g}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
