"""Hard negatives of 100,000 queries among 100,000 documents, over cached vectors of 384 numbers.

The vectors are noise around common centres, so that neighbourhoods are as crowded as in real data. Before anything is
timed, the negatives of some queries are compared with those that sorting all similarities in float64 gives.

    python benchmarks/mining.py --json mining.json
"""

import argparse
import json
import time
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from harness import interleaved, machine, peak_memory, ratio
from quaterion.cache import EmbeddingStore
from quaterion.dataset import SimilarityPairSample
from quaterion.eval import mine_hard_negatives

DIMENSION, K = 384, 5
MARGIN = 0.05


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    parser.add_argument("--size", type=int, default=100_000, help="queries, and documents (default 100,000)")
    parser.add_argument("--ratio-size", type=int, default=10_000, help="of the comparison with a bare loop")
    arguments = parser.parse_args()
    figures: dict[str, Any] = {"machine": machine(), "k": K, "relative_margin": MARGIN}
    small = Data(arguments.ratio_size)
    small.check(queries=50)
    seconds = interleaved({"ours": small.mine, "bare loop": small.bare_loop})
    figures["against_bare_loop"] = ratio(seconds, "ours", "bare loop")
    figures["seconds_of_ratio"] = seconds
    data = Data(arguments.size)
    most = 0.0
    runs = {
        "relative margin": {},
        "no margin": {"relative_margin": None},
        "skip_top=5": {"skip_top": 5},
        "exclude": {"exclude": lambda _, document: document.endswith("0")},
    }
    figures["full"] = {"queries": arguments.size, "documents": arguments.size, "seconds": {}, "cpu_seconds": {}}
    for name, options in runs.items():
        started, cpu = time.perf_counter(), time.process_time()
        most = max(most, peak_memory(partial(data.mine, **options)))
        figures["full"]["seconds"][name] = round(time.perf_counter() - started, 1)
        figures["full"]["cpu_seconds"][name] = round(time.process_time() - cpu, 1)  # of all threads
        figures["full"]["peak_gib_above_data"] = round(most / 1024, 2)
        print(json.dumps(figures["full"]), flush=True)
        if arguments.json is not None:  # after each, since they take minutes
            arguments.json.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    print(f"against_bare_loop = {figures['against_bare_loop']:.3g}")


class Data:
    """Queries, and a document near each."""

    def __init__(self, size: int) -> None:
        generator = torch.Generator().manual_seed(0)
        centres = torch.randn(size // 100, DIMENSION, generator=generator)
        place = torch.randint(len(centres), (size,), generator=generator)
        self.documents = centres[place] + torch.randn(size, DIMENSION, generator=generator)
        self.queries = self.documents + torch.randn(size, DIMENSION, generator=generator)
        names = [f"query {i}" for i in range(size)], [f"document {i}" for i in range(size)]
        self.store = EmbeddingStore.from_vectors([*names[0], *names[1]], torch.cat([self.queries, self.documents]))
        self.pairs = [SimilarityPairSample(*pair) for pair in zip(*names, strict=True)]

    def mine(self, **options: Any) -> list[SimilarityPairSample]:
        return mine_hard_negatives(self.pairs, self.store, K, **{"relative_margin": MARGIN} | options)

    def bare_loop(self) -> Tensor:
        """What it takes at the least: the product, the margin and torch's top-k, in blocks of 256 queries."""
        queries, documents = (torch.nn.functional.normalize(x) for x in (self.queries, self.documents))
        found = []
        for start in range(0, len(queries), 256):
            block = queries[start : start + 256] @ documents.T
            limit = block.diagonal(start).unsqueeze(1) * (1 - MARGIN)
            found.append(block.masked_fill_(block > limit, -torch.inf).topk(K, dim=1).indices)
        return torch.cat(found)

    def check(self, queries: int) -> None:
        mined = self.mine()
        first, documents = (torch.nn.functional.normalize(x.double()) for x in (self.queries[:queries], self.documents))
        similarity = first @ documents.T
        for row in range(queries):
            limit = similarity[row, row] * (1 - MARGIN)
            order = similarity[row].argsort(descending=True).tolist()
            expected = [i for i in order if i != row and similarity[row, i] <= limit][:K]
            assert mined[row].negatives == [f"document {i}" for i in expected], row


if __name__ == "__main__":
    main()
