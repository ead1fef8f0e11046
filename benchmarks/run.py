"""Runs the benchmarks whose names contain one of the arguments, or all, each in a process of its own: see README.md."""

import subprocess
import sys
from pathlib import Path

FOLDER = Path(__file__).parent
NO_BENCHMARKS = {"harness", "run", "tables"}


def main(wanted: list[str]) -> int:
    names = sorted({path.stem for path in FOLDER.glob("*.py")} - NO_BENCHMARKS)
    chosen = [name for name in names if not wanted or any(part in name for part in wanted)]
    if not chosen:
        print(f"No benchmark is called like {wanted}; there are: {', '.join(names)}.", file=sys.stderr)
        return 2
    results = FOLDER / "results"
    results.mkdir(exist_ok=True)
    failed = []
    for name in chosen:
        print(f"== {name}", flush=True)
        done = subprocess.run([sys.executable, FOLDER / f"{name}.py", "--json", results / f"{name}.json"], check=False)
        if done.returncode:
            failed.append(name)
    if failed:
        print(f"Failed: {', '.join(failed)}.", file=sys.stderr)
    return len(failed) > 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
