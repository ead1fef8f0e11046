"""A million objects from a file into an index, with an encoder that costs next to nothing.

- index: `build_index` of a file of JSON lines; seconds, saves included, and the largest resident set.
- again: the same once more, which encodes nothing.

Killed where a process takes more than 4 GiB.

    python benchmarks/index.py --json index.json
    python benchmarks/index.py --rows 20000      # a small run
"""

import argparse
import hashlib
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

DIMENSION = 384
GIB = 2**30
MOST_GIB = 4.0


def child(data: Path, folder: Path, save_every: float) -> dict[str, Any]:
    import numpy as np
    import torch

    from quaterion.indexing import Destination, build_index, read_corpus
    from quaterion_models import SimilarityModel
    from quaterion_models.encoders import Encoder
    from quaterion_models.heads import EmptyHead
    from search import peak_gib

    class Hashed(Encoder):
        """Random vectors, the same for the same text."""

        trainable = False
        embedding_size = DIMENSION

        def fingerprint(self) -> str:
            return "hashed"

        def get_collate_fn(self) -> Any:
            def collate(texts: list[str]) -> torch.Tensor:
                seeds = [int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest()) for text in texts]
                rows = [
                    np.random.Generator(np.random.SFC64(seed)).random(DIMENSION, dtype=np.float32) for seed in seeds
                ]
                return torch.from_numpy(np.stack(rows)) - 0.5

            return collate

        def forward(self, batch: torch.Tensor) -> torch.Tensor:
            return batch

    model = SimilarityModel(Hashed(), EmptyHead(DIMENSION))
    start = time.perf_counter()
    corpus = read_corpus(data)
    read = time.perf_counter()
    counts = build_index(model, corpus, Destination(str(folder)), batch_size=256, save_every=save_every)
    return {
        "seconds_to_look_through": read - start,
        "seconds": time.perf_counter() - start,
        "encoded": counts.encoded,
        "size": counts.size,
        "peak_gib": peak_gib(),
    }


def measure(rows: int, save_every: float) -> dict[str, Any]:
    result: dict[str, Any] = {"rows": rows, "vectors_gib": rows * DIMENSION * 4 / GIB, "save_every": save_every}
    with tempfile.TemporaryDirectory() as place:
        data, folder = Path(place, "data.jsonl"), Path(place, "index")
        with data.open("w", encoding="utf-8") as file:
            for number in range(rows):
                file.write(json.dumps({"text": f"the text of object {number}", "group": number % 10}) + "\n")
        for step, encoded in {"index": rows, "again": 0}.items():
            command = [sys.executable, str(Path(__file__).resolve()), "--child", str(data), str(folder)]
            done = subprocess.run([*command, str(save_every)], capture_output=True, text=True, check=False)
            if done.returncode:
                raise RuntimeError(done.stderr)
            result[step] = figures = json.loads(done.stdout)
            assert (figures["encoded"], figures["size"]) == (encoded, rows), figures
            assert figures["peak_gib"] <= MOST_GIB, (step, figures)
        result["files"] = len([path for path in folder.iterdir() if path.is_file()])
    return result


def main() -> None:
    if sys.argv[1:2] == ["--child"]:
        print(json.dumps(child(Path(sys.argv[2]), Path(sys.argv[3]), float(sys.argv[4]))))
        return
    from harness import machine

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    parser.add_argument("--rows", type=int, default=1_000_000, help="objects (default 1,000,000)")
    parser.add_argument("--save-every", type=float, default=10.0, help="seconds between two saves (default 10)")
    arguments = parser.parse_args()
    result = {"machine": machine(), **measure(arguments.rows, arguments.save_every)}
    print(json.dumps(result, indent=2))
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
