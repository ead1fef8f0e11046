"""Runs the benchmarks whose names contain one of the arguments, or all, each in a process of its own: see README.md."""

import argparse
import subprocess
import sys
from pathlib import Path

FOLDER = Path(__file__).parent
NO_BENCHMARKS = {"cache_restarts", "cached_training", "guide_pictures", "harness", "rivals", "run", "tables"}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="parts of the names of benchmarks")
    parser.add_argument("--data-dir", type=Path, help="folder with the public data sets that some benchmarks read")
    arguments = parser.parse_args()
    scripts = sorted(path for path in FOLDER.glob("*.py") if path.stem not in NO_BENCHMARKS)
    chosen = [path for path in scripts if not arguments.names or any(part in path.stem for part in arguments.names)]
    if not chosen:
        known = ", ".join(path.stem for path in scripts)
        print(f"No benchmark is called like {arguments.names}; there are: {known}.", file=sys.stderr)
        return 2
    results = FOLDER / "results"
    results.mkdir(exist_ok=True)
    failed = [path.stem for path in chosen if not run(path, results / f"{path.stem}.json", arguments.data_dir)]
    if failed:
        print(f"Failed: {', '.join(failed)}.", file=sys.stderr)
    return len(failed) > 0


def run(script: Path, result: Path, data: Path | None) -> bool:
    """Runs one benchmark; false if it fails."""
    print(f"== {script.stem}", flush=True)
    command: list[str | Path] = [sys.executable, script, "--json", result]
    if '"--data-dir"' in script.read_text(encoding="utf-8"):
        if data is None:
            print('skipped, it needs data sets: make bench ARGS="--data-dir FOLDER"')
            return True
        command += ["--data-dir", data]
    return subprocess.run(command, check=False).returncode == 0


if __name__ == "__main__":
    sys.exit(main())
