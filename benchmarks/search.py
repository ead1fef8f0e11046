"""Searching vectors of 384 numbers, which lie in clusters as embeddings do.

- memory: one process adds a million objects in portions and saves them, another loads and searches them; the largest
  resident set of each, files that are mapped into memory included. Killed where it takes more than 4 GiB.
- speed: the ten nearest of many queries, and of one at a time, with `ExactIndex` and with faiss's `IndexFlatIP`.
- filter: one query among a tenth of the objects, against one among all.
- graph: what `FaissIndex(factory="HNSW32")` finds of the ten nearest, and how fast.

    python benchmarks/search.py --json search.json
    python benchmarks/search.py --rows 20000 --speed-rows 5000      # a small run
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from quaterion_models.search import ExactIndex, FaissIndex
from quaterion_models.search.stored_index import StoredIndex

DIMENSION = 384
PORTION = 4096
PORTIONS_A_SAVE = 25
CLUSTERS = 1000
MOST_GIB = 4.0
GIB = 2**30
QUERIES, SINGLE_QUERIES, K = 1000, 20, 10
KINDS = {"exact": ExactIndex, "faiss": FaissIndex}


def portions(rows: int, seed: int = 0) -> Iterator[tuple[list[str], np.ndarray, list[dict[str, Any]]]]:
    """Ids, vectors and payloads; made as they are needed."""
    random = np.random.default_rng(seed)
    centers = np.random.default_rng(0).standard_normal((CLUSTERS, DIMENSION), dtype=np.float32)
    for start in range(0, rows, PORTION):
        numbers = range(start, min(start + PORTION, rows))
        vectors = random.standard_normal((len(numbers), DIMENSION), dtype=np.float32)
        vectors += centers[random.integers(CLUSTERS, size=len(numbers))]
        payloads = [{"text": f"the text of object {number}", "group": number % 10} for number in numbers]
        yield [f"object-{number}" for number in numbers], vectors, payloads


def queries(count: int) -> np.ndarray:
    return np.concatenate([vectors for _, vectors, _ in portions(count, seed=1)])


def filled(index: StoredIndex, rows: int) -> StoredIndex:
    for portion in portions(rows):
        index.add(*portion)
    return index


def peak_gib() -> float:
    # Not getrusage: it counts what the process that started this one had.
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) * 1024 / GIB


def add_and_save(kind: str, rows: int, folder: Path) -> dict[str, float]:
    start = time.perf_counter()
    index = KINDS[kind](DIMENSION)
    for number, portion in enumerate(portions(rows), start=1):
        index.add(*portion)
        if number % PORTIONS_A_SAVE == 0:
            index.save(folder)
    index.save(folder)
    return {"seconds": time.perf_counter() - start, "peak_gib": peak_gib()}


def load_and_search(kind: str, rows: int, folder: Path) -> dict[str, float]:
    some = queries(SINGLE_QUERIES)
    start = time.perf_counter()
    index = KINDS[kind].load(folder)
    loaded = time.perf_counter()
    assert len(index) == rows
    index.search(some[:1], K)
    first = time.perf_counter()
    index.search(some[:1], K, filter={"group": 3})
    filtered = time.perf_counter()
    index.contains(["object-0"])
    looked_up = time.perf_counter()
    assert len(index.search(some, K)[0]) == K
    return {
        "seconds_to_load": loaded - start,
        "seconds_first_search": first - loaded,
        "seconds_first_filter": filtered - first,
        "seconds_first_look_up": looked_up - filtered,
        "peak_gib": peak_gib(),
    }


CHILDREN = {"add_and_save": add_and_save, "load_and_search": load_and_search}


def measure_memory(rows: int, _runs: int) -> dict[str, Any]:
    result: dict[str, Any] = {"rows": rows, "vectors_gib": rows * DIMENSION * 4 / GIB}
    for kind in KINDS:
        with tempfile.TemporaryDirectory() as folder:
            for step in CHILDREN:
                command = [sys.executable, str(Path(__file__).resolve()), "--child", step, kind, str(rows), folder]
                done = subprocess.run(command, capture_output=True, text=True, check=False)
                if done.returncode:
                    raise RuntimeError(done.stderr)
                result[f"{kind}_{step}"] = figures = json.loads(done.stdout)
                assert figures["peak_gib"] <= MOST_GIB, (kind, step, figures)
            files = [path for path in Path(folder).iterdir() if path.is_file()]
            result[f"{kind}_files"] = len(files)
            result[f"{kind}_files_gib"] = sum(path.stat().st_size for path in files) / GIB
    return result


def measure_speed(rows: int, runs: int) -> dict[str, Any]:
    import faiss

    from harness import interleaved, ratio

    index, some = filled(ExactIndex(DIMENSION), rows), queries(QUERIES)
    flat = faiss.IndexFlatIP(DIMENSION)
    flat.add(unit(np.concatenate([vectors for _, vectors, _ in portions(rows)])))
    units = unit(some)
    expected, _ = flat.search(units, K)
    found = np.array([[hit.score for hit in hits] for hits in index.search(some, K)])
    assert np.abs(found - expected).max() < 1e-5
    single = range(SINGLE_QUERIES)
    many = interleaved({"ours": lambda: index.search(some, K), "faiss": lambda: flat.search(units, K)}, runs=runs)
    one = interleaved(
        {
            "ours": lambda: [index.search(some[row : row + 1], K) for row in single],
            "faiss": lambda: [flat.search(units[row : row + 1], K) for row in single],
        },
        runs=runs,
    )
    return {
        "rows": rows,
        "queries": len(some),
        "seconds": many,
        "ratio": ratio(many, "ours", "faiss"),
        "single_milliseconds": 1000 * statistics.median(one["ours"]) / SINGLE_QUERIES,
        "single_ratio": ratio(one, "ours", "faiss"),
    }


def measure_filter(rows: int, runs: int) -> dict[str, Any]:
    from harness import interleaved, ratio

    index, some = filled(ExactIndex(DIMENSION), rows), queries(1)
    hits = index.search(some, K, filter={"group": [3]})[0]
    assert [hit.payload["group"] for hit in hits] == [3] * K
    seconds = interleaved(
        {"tenth": lambda: index.search(some, K, filter={"group": 3}), "all": lambda: index.search(some, K)}, runs=runs
    )
    return {"rows": rows, "seconds": seconds, "ratio": ratio(seconds, "tenth", "all")}


def measure_graph(rows: int, runs: int) -> dict[str, Any]:
    from harness import interleaved, ratio

    some = queries(QUERIES)
    exact = filled(ExactIndex(DIMENSION), rows)
    graph = filled(FaissIndex(DIMENSION, factory="HNSW32"), rows)
    start = time.perf_counter()
    found = graph.search(some, K)
    seconds_to_build = time.perf_counter() - start
    best = exact.search(some, K)
    recall = np.mean([len({h.id for h in a} & {h.id for h in b}) / K for a, b in zip(found, best, strict=True)])
    seconds = interleaved({"graph": lambda: graph.search(some, K), "exact": lambda: exact.search(some, K)}, runs=runs)
    return {
        "rows": rows,
        "recall": float(recall),
        "seconds_to_build": seconds_to_build,
        "seconds": seconds,
        "ratio": ratio(seconds, "graph", "exact"),
    }


def unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


PARTS = {"memory": measure_memory, "speed": measure_speed, "filter": measure_filter, "graph": measure_graph}


def main() -> None:
    if sys.argv[1:2] == ["--child"]:
        step, kind, rows, folder = sys.argv[2:]
        print(json.dumps(CHILDREN[step](kind, int(rows), Path(folder))))
        return
    from harness import RUNS, machine

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS), help="measure only these parts")
    parser.add_argument("--rows", type=int, default=1_000_000, help="objects for memory (default 1,000,000)")
    parser.add_argument("--speed-rows", type=int, default=100_000, help="objects for the other parts (default 100,000)")
    parser.add_argument("--runs", type=int, default=RUNS, help=f"timed runs of each (default {RUNS})")
    arguments = parser.parse_args()
    result: dict[str, Any] = {"machine": machine()}
    if arguments.json is not None and arguments.json.exists() and len(arguments.only) < len(PARTS):
        result = json.loads(arguments.json.read_text()) | result  # the parts that are not measured again stay
    for name in arguments.only:
        rows = arguments.rows if name == "memory" else arguments.speed_rows
        result[name] = PARTS[name](rows, arguments.runs)
        print(f"{name}: {json.dumps(result[name])}", flush=True)
        if arguments.json is not None:
            arguments.json.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
