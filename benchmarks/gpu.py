"""Cached training and the fill of a cache on a GPU; on a machine without one it says so and measures nothing.

- long: 1,000 epochs over 10,000 vectors of 384 at batch 1,024, which may take 10 s: through `Quaterion.fit`, the same
  with `compile_step`, in a bare loop, and in a bare loop of CUDA graphs, which has no cost of Python's to speak of.
  Seconds include the start, and with `compile_step` the compiler; epochs a second are those of the median epoch.
- fill: filling a cache with MiniLM, against its bare forward and `SentenceTransformer.encode`.

Peak memory is the most that torch had allocated on the GPU.

    python benchmarks/gpu.py --json gpu.json
    python benchmarks/gpu.py --epochs 20      # a small run
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from cache import DIMENSION, Lookup, Model, bare_loop, fit, measure_fill, random_vectors, synchronize
from harness import machine
from quaterion.dataset import GroupSimilarityDataLoader, SimilarityGroupSample
from quaterion.loss import TripletLoss
from quaterion.train.cache import CacheConfig
from quaterion_models.heads import SkipConnectionHead

ITEMS, GROUPS, BATCH = 10_000, 500, 1024
MOST_SECONDS, BAR_EPOCHS = 10.0, 1000
WARM_UP = 3
"""Steps before a capture: torch's own advice for a graph of a whole training step."""
MIB = 2**20


class CompiledModel(Model):
    compile_step = True


def fitted(kind: type[Model], vectors: Tensor, device: torch.device, epochs: int) -> list[float]:
    samples = [SimilarityGroupSample(i, i % GROUPS) for i in range(len(vectors))]
    model = kind(Lookup(vectors.cpu()), CacheConfig(batch_size=BATCH))
    return fit(model, GroupSimilarityDataLoader(samples, batch_size=BATCH, shuffle=True), device, epochs).seconds


def graphed_loop(vectors: Tensor, groups: Tensor, epochs: int) -> list[float]:
    """Seconds of each epoch of the bare loop, with a step as one CUDA graph for each size of batch."""
    head, loss = SkipConnectionHead(DIMENSION).to(vectors.device), TripletLoss()
    optimizer = torch.optim.Adam(head.parameters(), 1e-3, capturable=True)

    def step(rows: Tensor) -> None:
        optimizer.zero_grad()
        loss(head(vectors.index_select(0, rows)), groups.index_select(0, rows)).backward()
        optimizer.step()

    graphs: dict[int, tuple[torch.cuda.CUDAGraph, Tensor]] = {}
    for size in {BATCH, len(vectors) % BATCH} - {0}:
        rows = torch.arange(size, device=vectors.device)
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(WARM_UP):
                step(rows)
        torch.cuda.current_stream().wait_stream(stream)
        optimizer.zero_grad()  # the gradients are to lie in the graph's own memory
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            step(rows)
        graphs[size] = graph, rows
    seconds = []
    for _ in range(epochs):
        synchronize(vectors.device)
        start = time.perf_counter()
        for drawn in torch.randperm(len(vectors), device=vectors.device).split(BATCH):
            graph, rows = graphs[len(drawn)]
            rows.copy_(drawn)
            graph.replay()
        synchronize(vectors.device)
        seconds.append(time.perf_counter() - start)
    return seconds


def measured(run: Callable[[], list[float]]) -> dict[str, float]:
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    start = time.perf_counter()
    epochs = run()
    return {
        "seconds": time.perf_counter() - start,
        "epochs_per_second": 1 / statistics.median(epochs),
        "peak_mib": torch.cuda.max_memory_allocated() / MIB,
    }


def measure(epochs: int) -> dict[str, Any]:
    device = torch.device("cuda", 0)
    vectors = random_vectors(ITEMS).to(device)
    groups = torch.arange(ITEMS, device=device) % GROUPS
    ways: dict[str, Callable[[], list[float]]] = {
        "fit": lambda: fitted(Model, vectors, device, epochs),
        "fit, compiled": lambda: fitted(CompiledModel, vectors, device, epochs),
        "bare loop": lambda: bare_loop(vectors, groups, BATCH, epochs),
        "bare loop of CUDA graphs": lambda: graphed_loop(vectors, groups, epochs),
    }
    ways["fit"]()  # the first of a process starts the GPU and its libraries
    result: dict[str, Any] = {"epochs": epochs, "long": {}}
    for name, way in ways.items():
        result["long"][name] = measured(way)
        print(name, json.dumps(result["long"][name]), flush=True)
    torch.cuda.reset_peak_memory_stats()
    result["fill"] = {**measure_fill(device), "peak_mib": torch.cuda.max_memory_allocated() / MIB}
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    parser.add_argument("--epochs", type=int, default=BAR_EPOCHS, help=f"epochs of each run (default {BAR_EPOCHS:,})")
    arguments = parser.parse_args()
    if not torch.cuda.is_available():
        print("Skipped: this benchmark needs a GPU that torch's CUDA build can use, and finds none on this machine.")
        return
    result = {"machine": machine(), **measure(arguments.epochs)}
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    fastest = min(result["long"][name]["seconds"] for name in ("fit", "fit, compiled"))
    if arguments.epochs == BAR_EPOCHS and fastest > MOST_SECONDS:
        raise SystemExit(f"1,000 epochs took {fastest:.1f} s, more than the {MOST_SECONDS:g} s they may.")


if __name__ == "__main__":
    main()
