"""What an exact search costs that metrics, mining and inspection rest on: top-10 of 100,000 x 384 against itself.

- time: against `IndexFlatIP` of faiss with the same threads, and both backends of `top_k` against each other.
- memory: the most that a process takes above its vectors while it searches.
- bootstrap: samples of 100,000 scored pairs scored together, against one after the other.

Time grows with the number of queries and hardly with anything else, so that some of them give the ratio. All of them
take minutes a run:

    python benchmarks/evaluation.py --json evaluation.json --queries 100000 --runs 1
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from harness import RUNS, interleaved, machine, peak_memory, ratio
from quaterion.eval.scored import RocAuc, ScoredPairMetric, SpearmanCorrelation
from quaterion.functional.bootstrap import resampled
from quaterion.functional.topk import TopK, top_k

COUNT, DIMENSION, K = 100_000, 384, 10


def vectors() -> Tensor:
    """Unit vectors about 1,000 centres, as those of real groups are."""
    generator = torch.Generator().manual_seed(0)
    centres = torch.randn(1000, DIMENSION, generator=generator)
    points = torch.randn(COUNT, DIMENSION, generator=generator)
    points += centres[torch.randint(1000, (COUNT,), generator=generator)]
    return torch.nn.functional.normalize(points)


def search(points: Tensor, queries: int, backend: Any = "torch") -> TopK:
    return top_k(points[:queries], points, K, own_rows=torch.arange(queries), backend=backend)


def measure_time(queries: int, runs: int) -> dict[str, object]:
    import faiss

    points = vectors()
    index = faiss.IndexFlatIP(DIMENSION)
    index.add(points.numpy())
    asked = points[:queries].numpy()
    found: dict[str, Any] = {}

    def by(name: str, function: Callable[[], object]) -> Callable[[], None]:
        def run() -> None:
            found[name] = function()

        return run

    seconds = interleaved(
        {
            "top_k": by("top_k", lambda: search(points, queries)),
            "IndexFlatIP": by("IndexFlatIP", lambda: index.search(asked, K + 1)),
            "top_k by faiss": by("top_k by faiss", lambda: search(points, queries, "faiss")),
        },
        runs=runs,
    )
    theirs = without_own(*map(torch.from_numpy, found["IndexFlatIP"]))
    equal = {name: compared(found[name], theirs) for name in ("top_k", "top_k by faiss")}
    return {
        "queries": queries,
        "runs": runs,
        "top_k_against_IndexFlatIP": ratio(seconds, "top_k", "IndexFlatIP"),
        "faiss_backend_against_IndexFlatIP": ratio(seconds, "top_k by faiss", "IndexFlatIP"),
        "faiss": faiss.__version__,
        "faiss_threads": faiss.omp_get_max_threads(),
        "share_of_equal_rows": equal,
        "seconds": {name: statistics.median(values) for name, values in seconds.items()},
    }


def without_own(similarities: Tensor, rows: Tensor) -> TopK:
    own = rows == torch.arange(len(rows)).unsqueeze(1)
    if not bool((own.sum(dim=1) == 1).all()):
        raise RuntimeError("faiss did not find each query itself once")
    shape = (len(rows), K)
    return TopK(similarities[~own].view(shape), rows[~own].view(shape))


def compared(ours: TopK, theirs: TopK) -> float:
    """Share of equal rows; others must be as near, but for the rounding of float32."""
    if not torch.allclose(ours.similarities, theirs.similarities, rtol=0, atol=1e-6):
        raise RuntimeError("the similarities found differ")
    return float((ours.rows == theirs.rows).double().mean())


def measure_memory(queries: int, _: int) -> dict[str, object]:
    command = [sys.executable, str(Path(__file__).resolve()), "--queries", str(queries), "--child"]
    figures: dict[str, object] = {}
    for backend in ("torch", "faiss"):
        done = subprocess.run([*command, backend], capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(done.stderr)
        figures[f"mib_above_the_vectors_by_{backend}"] = json.loads(done.stdout.splitlines()[-1])
    return {"queries": queries, **figures}


def child_memory(queries: int, backend: str) -> float:
    points = vectors()
    search(points[:2000], 100, backend)  # loads what each backend loads once
    return peak_memory(lambda: search(points, queries, backend))


def measure_bootstrap(_: int, runs: int, resamples: int = 40) -> dict[str, object]:
    """What the interval of a metric of scored pairs costs."""
    generator = torch.Generator().manual_seed(0)
    similarities = torch.rand(COUNT, generator=generator, dtype=torch.float64)
    scores = (similarities + 0.3 * torch.randn(COUNT, generator=generator) > 0.5).float()
    figures: dict[str, object] = {"pairs": COUNT, "resamples": resamples}
    for name, metric in {"spearman": SpearmanCorrelation(), "roc_auc": RocAuc()}.items():

        def together(metric: ScoredPairMetric = metric) -> Tensor:
            def statistic(counts: Tensor) -> Tensor:
                return metric.score(similarities, scores, counts)

            return resampled([statistic], COUNT, resamples=resamples)[0]

        def one_by_one(metric: ScoredPairMetric = metric) -> Tensor:
            draws = torch.Generator().manual_seed(0)
            rows = (torch.randint(COUNT, (COUNT,), generator=draws) for _ in range(resamples))
            return torch.stack([metric.score(similarities[drawn], scores[drawn]) for drawn in rows])

        if not torch.allclose(together(), one_by_one(), rtol=0, atol=1e-12):
            raise RuntimeError(f"{name} of samples differs")
        seconds = interleaved({"together": together, "one by one": one_by_one}, runs=runs)
        figures[f"{name}_against_one_by_one"] = ratio(seconds, "together", "one by one")
        figures[f"{name}_seconds"] = {key: statistics.median(values) for key, values in seconds.items()}
    return figures


PARTS: dict[str, Callable[[int, int], dict[str, object]]] = {
    "time": measure_time,
    "memory": measure_memory,
    "bootstrap": measure_bootstrap,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS), help="measure only these parts")
    parser.add_argument("--queries", type=int, default=10_000, help=f"how many of the {COUNT:,} are searched for")
    parser.add_argument("--runs", type=int, default=RUNS, help=f"timed runs of each (default {RUNS})")
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="CPU threads (default: all cores)")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    try:
        import faiss
    except ImportError:
        raise SystemExit('this benchmark needs faiss: pip install "quaterion[faiss]"') from None
    faiss.omp_set_num_threads(arguments.threads)
    if arguments.child:
        print(json.dumps(child_memory(arguments.queries, arguments.child)))
        return
    result: dict[str, object] = {"machine": machine()}
    if arguments.json is not None and arguments.json.exists() and len(arguments.only) < len(PARTS):
        result = json.loads(arguments.json.read_text()) | result  # the parts that are not measured again stay
    for name in arguments.only:
        result[name] = PARTS[name](arguments.queries, arguments.runs)
        print(f"{name}: {json.dumps(result[name])}", flush=True)
        if arguments.json is not None:
            arguments.json.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
