"""Wrong labels that are found: 5 % of BANKING77's training labels are swapped at random, and ranked by suspicion.

The objects are compared as frozen MiniLM sees them. The number of neighbours is chosen with other draws of swapped
labels than those that are reported.

    python benchmarks/label_errors.py --data-dir DATASETS --json label_errors.json
"""

import argparse
import json
import statistics
import time
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from harness import machine
from loss_quality import embeddings_of, read
from quaterion.dataset import group_ids
from quaterion.eval.inspection import suspected_label_errors

NEIGHBOURS = (5, 10, 20, 50)
SWAPPED, LOOKED_AT = 0.05, 0.10
CHOOSING_SEEDS = range(1000, 1003)
DEFAULT_K = 10
CACHE = Path(__file__).parent / "results" / "label-errors-cache"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", type=Path, required=True, help="folder that holds banking77/train.csv")
    parser.add_argument("--cache", type=Path, default=CACHE, help="folder for the vectors")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    parser.add_argument("--seeds", type=int, default=5, help="draws of swapped labels that are reported (default 5)")
    arguments = parser.parse_args()
    rows = read(arguments.data_dir / "banking77" / "train.csv")
    embeddings = embeddings_of(None, rows, arguments.cache)
    groups = group_ids([intent for _, intent in rows])
    by_k = {
        k: statistics.mean(measured(embeddings, groups, k, seed)["found"] for seed in CHOOSING_SEEDS)
        for k in NEIGHBOURS
    }
    chosen = max(by_k, key=lambda k: by_k[k])
    figures: dict[str, Any] = {
        "machine": machine(),
        "objects": len(rows),
        "swapped": SWAPPED,
        "looked_at": LOOKED_AT,
        "seeds": arguments.seeds,
        "found_with_other_seeds": by_k,
        "chosen_k": chosen,
    }
    for name, k in (("chosen", chosen), ("default", DEFAULT_K)):
        started = time.perf_counter()
        runs = [measured(embeddings, groups, k, seed) for seed in range(arguments.seeds)]
        seconds = (time.perf_counter() - started) / arguments.seeds
        figures[name] = {"k": k, "seconds": round(seconds, 2)}
        figures[name] |= {what: summary([run[what] for run in runs]) for what in runs[0]}
    print(json.dumps(figures, indent=2))
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")


def measured(embeddings: Tensor, groups: Tensor, k: int, seed: int) -> dict[str, float]:
    """Swaps labels and looks for them.

    Returns:
        `found`: share of the swapped labels among the first 10 % of all objects, ranked by suspicion. `suspected`:
        share of all objects that are suspected at all. `precision`: share of swapped labels among as many leading
        suspects as labels were swapped. `restored`: share of those found whose suggested group is the true one.
    """
    generator = torch.Generator().manual_seed(seed)
    distinct, codes = torch.unique(groups, return_inverse=True)
    rows = torch.randperm(len(groups), generator=generator)[: round(SWAPPED * len(groups))]
    wrong = codes.clone()
    wrong[rows] = (codes[rows] + torch.randint(1, len(distinct), (len(rows),), generator=generator)) % len(distinct)
    found = suspected_label_errors(embeddings, wrong, k)
    swapped = torch.zeros(len(groups), dtype=torch.bool)
    swapped[rows] = True
    first = found.rows[: round(LOOKED_AT * len(groups))]
    hits = first[swapped[first]]
    suggested = dict(zip(found.rows.tolist(), found.suggested.tolist(), strict=True))
    restored = sum(suggested[row] == int(codes[row]) for row in hits.tolist())
    return {
        "found": len(hits) / len(rows),
        "suspected": len(found) / len(groups),
        "precision": float(swapped[found.rows[: len(rows)]].double().mean()),
        "restored": restored / max(1, len(hits)),
    }


def summary(values: list[float]) -> dict[str, float]:
    return {"mean": statistics.mean(values), "lowest": min(values), "highest": max(values)}


if __name__ == "__main__":
    main()
