"""BANKING77 with 10 examples of each intent: `quaterion.tune` beside the libraries that it is compared with.

Accuracy on the whole test set, and CPU seconds (one thread) from texts to predictions. The draws of examples are those
of `quality.py`. Each method runs in a process of its own with its library's documented defaults, and without the
labels of the test set: no figure here chose a setting. `rivals.py` has the methods; those that train the encoder for
minutes run on the first draw only.

    python benchmarks/side_by_side.py --data-dir FOLDER --json side_by_side.json
    python benchmarks/side_by_side.py --data-dir FOLDER --python rivals/bin/python     # where the libraries are

What an environment lacks is skipped, and the figures of earlier runs in the file stay.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from harness import machine
from quality import Rows, draw, rows, summary
from quaterion.utils.minilm import find_minilm
from rivals import METHODS

SHOTS, DRAWS = 10, 2
SLOW = {"setfit"}
OURS = "quaterion.tune"
ONE_THREAD = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}


def measured(name: str, python: str, train: Rows, test: Rows, draws: int) -> dict[str, Any]:
    """Accuracy and CPU seconds of one method over draws of examples."""
    method = METHODS[name]
    names = sorted({row["category"] for row in train})
    runs = []
    for seed in range(1 if method.package in SLOW else draws):
        some = draw(train, SHOTS, seed)
        task = {
            "encoder": str(find_minilm()),
            "examples": [row["text"] for row in some],
            "labels": [names.index(row["category"]) for row in some],
            "names": names,
            "texts": [row["text"] for row in test],
        }
        found = predicted(name, python, task)
        right = [names[label] == row["category"] for label, row in zip(found.pop("predictions"), test, strict=True)]
        runs.append({**found, "accuracy": sum(right) / len(right)})
        print(name, runs[-1], flush=True)
    return {
        "package": method.package,
        "version": runs[0]["version"],
        "settings": method.settings,
        "draws": len(runs),
        "accuracy": summary([run["accuracy"] for run in runs]),
        "cpu_seconds": summary([run["cpu_seconds"] for run in runs]),
        "first_draw": {figure: runs[0][figure] for figure in ("accuracy", "cpu_seconds", "seconds")},
    }


def predicted(name: str, python: str, task: dict[str, Any]) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "task.json", Path(folder) / "predictions.json"
        source.write_text(json.dumps(task), encoding="utf-8")
        command = [python, Path(__file__).with_name("rivals.py"), name, source, target]
        subprocess.run(command, check=True, env={**os.environ, **ONE_THREAD})
        return json.loads(target.read_text(encoding="utf-8"))


def installed(package: str, python: str) -> bool:
    asked = f"from importlib.metadata import version; version({package!r})"
    return subprocess.run([python, "-c", asked], check=False, capture_output=True).returncode == 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", type=Path, required=True, help="folder with the public data sets")
    parser.add_argument("--json", type=Path, help="write the figures to this file, after each method")
    parser.add_argument("--python", default=sys.executable, help="Python of the environment with the other libraries")
    parser.add_argument("--only", nargs="*", choices=list(METHODS), help="these methods only")
    parser.add_argument("--draws", type=int, default=DRAWS, help="draws of examples for methods that take seconds")
    arguments = parser.parse_args()
    train, test = (rows(arguments.data_dir / "banking77" / f"{part}.csv") for part in ("train", "test"))
    methods: dict[str, Any] = {}
    if arguments.json is not None and arguments.json.is_file():
        methods = json.loads(arguments.json.read_text(encoding="utf-8"))["methods"]
    for name in arguments.only or METHODS:
        package, python = METHODS[name].package, sys.executable if name == OURS else arguments.python
        if not installed(package, python):
            print(f"{name}: skipped, not installed: {python} -m pip install {package}")
            continue
        methods[name] = measured(name, python, train, test, arguments.draws)
        if arguments.json is not None:
            content = {"machine": {**machine(), "threads": 1}, "shots": SHOTS, "methods": methods}
            arguments.json.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
