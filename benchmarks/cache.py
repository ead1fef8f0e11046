"""What the cache saves and what it costs.

- epochs: an epoch through `Quaterion.fit` from cached vectors against a bare loop over a tensor with no framework.
- uncached: the same training of a head over real MiniLM, with and without a cache.
- long: 1,000 epochs over 10,000 vectors.
- fill: filling a cache with MiniLM against its bare forward over length-sorted batches, and against
  `SentenceTransformer.encode`.
- keys: how fast a data set is read.
- start: how long a second run, whose cache is filled, takes from the end of the imports to its first step.
- disk: memory of a training whose vectors stay on disk.

    python benchmarks/cache.py --json cache.json --only epochs fill
"""

import argparse
import json
import logging
import os
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from cache_restarts import CHILDREN, measure_disk, measure_start
from cached_training import DIMENSION, Lookup, Model, fit, minilm, random_texts, random_vectors, report, synchronize
from harness import RUNS, interleaved, machine, ratio
from quaterion.cache import EmbeddingStore
from quaterion.dataset import GroupSimilarityDataLoader, SimilarityGroupSample
from quaterion.loss import TripletLoss
from quaterion.train import prepare_batches
from quaterion.train.cache import CacheConfig, CacheType
from quaterion_models.content_key import content_key
from quaterion_models.encoders import SentenceTransformerEncoder
from quaterion_models.heads import SkipConnectionHead

BATCH_SIZES = (64, 256, 1024, 4096)


# --- epochs


def measure_epochs(device: torch.device) -> dict[str, object]:
    items, epochs = 20_000, 4
    vectors = random_vectors(items)
    groups = torch.arange(items) % 500
    samples = [SimilarityGroupSample(i, group) for i, group in enumerate(groups.tolist())]
    result: dict[str, object] = {}
    for batch_size in BATCH_SIZES:
        model = Model(Lookup(vectors), CacheConfig(batch_size=1024))
        loader = GroupSimilarityDataLoader(samples, batch_size=batch_size, shuffle=True)
        seconds: dict[str, list[float]] = {"fit": [], "bare": []}
        for _ in range(RUNS):  # the first epoch of each run warms up
            seconds["fit"] += fit(model, loader, device, epochs).seconds[1:]
            seconds["bare"] += bare_loop(vectors.to(device), groups.to(device), batch_size, epochs)[1:]
        steps = -(-items // batch_size)
        medians = {name: statistics.median(values) for name, values in seconds.items()}
        result[str(batch_size)] = {
            "ratio": medians["fit"] / medians["bare"],
            "framework_ms_per_step": 1000 * (medians["fit"] - medians["bare"]) / steps,
            "epochs_per_second": {name: 1 / value for name, value in medians.items()},
        }
        report(f"epochs at batch {batch_size}", result[str(batch_size)])
    return result


def bare_loop(vectors: Tensor, groups: Tensor, batch_size: int, epochs: int) -> list[float]:
    head, loss = SkipConnectionHead(DIMENSION).to(vectors.device), TripletLoss()
    optimizer = torch.optim.Adam(head.parameters(), 1e-3)
    seconds = []
    for _ in range(epochs):
        synchronize(vectors.device)
        start = time.perf_counter()
        for rows in torch.randperm(len(vectors), device=vectors.device).split(batch_size):
            value = loss(head(vectors.index_select(0, rows)), groups.index_select(0, rows))
            optimizer.zero_grad()
            value.backward()
            optimizer.step()
        synchronize(vectors.device)
        seconds.append(time.perf_counter() - start)
    return seconds


def measure_uncached(device: torch.device) -> dict[str, object]:
    result: dict[str, object] = {}
    for batch_size in BATCH_SIZES:
        texts = list(random_texts(max(1024, batch_size)))
        samples = [SimilarityGroupSample(text, i % 64) for i, text in enumerate(texts)]
        loader = GroupSimilarityDataLoader(samples, batch_size=batch_size, shuffle=True)
        encoder = SentenceTransformerEncoder(minilm())
        uncached = statistics.median(fit(Model(encoder, None), loader, device, 3 if len(texts) == 1024 else 1).seconds)
        cached = statistics.median(fit(Model(encoder, CacheConfig()), loader, device, 50).seconds[10:])
        rates = {"cached": 1 / cached, "uncached": 1 / uncached, "times_as_fast": uncached / cached}
        result[str(batch_size)] = {"texts": len(texts), **rates}
        report(f"epochs per second over {len(texts):,} texts, batch {batch_size}", result[str(batch_size)])
    return result


def measure_long(device: torch.device) -> dict[str, object]:
    items = 10_000
    samples = [SimilarityGroupSample(i, i % 500) for i in range(items)]
    model = Model(Lookup(random_vectors(items)), CacheConfig(batch_size=1024))
    loader = GroupSimilarityDataLoader(samples, batch_size=1024, shuffle=True)
    start = time.perf_counter()
    fit(model, loader, device, 1000)
    seconds = time.perf_counter() - start
    return report("1,000 epochs over 10,000 x 384, batch 1,024", {"seconds": seconds})


# --- filling and reading


def measure_fill(device: torch.device) -> dict[str, object]:
    texts = list(random_texts(1500))
    encoder = SentenceTransformerEncoder(minilm()).to(device)
    collate = encoder.get_collate_fn()
    longest_first = sorted(texts, key=len, reverse=True)
    samples = [SimilarityGroupSample(text, i % 50) for i, text in enumerate(texts)]
    vectors: dict[str, Tensor] = {}

    @torch.no_grad()
    def bare() -> None:
        parts = [collate(longest_first[i : i + 32]) for i in range(0, len(texts), 32)]
        vectors["bare"] = torch.cat([encoder({k: v.to(device) for k, v in part.items()}).cpu() for part in parts])

    def fill() -> None:
        with tempfile.TemporaryDirectory() as folder:
            model = Model(encoder, CacheConfig(save_dir=folder, cache_type=CacheType.CPU))
            loader = GroupSimilarityDataLoader(samples, batch_size=len(texts))
            (batch,) = prepare_batches(model, loader, device=device)
            vectors["fill"] = batch.features.cached["default"]

    from sentence_transformers import SentenceTransformer

    reference = SentenceTransformer(str(minilm()), device=str(device))

    def sentence_transformers() -> None:
        vectors["theirs"] = torch.from_numpy(reference.encode(texts, batch_size=32))

    seconds = interleaved({"fill": fill, "bare": bare, "sentence-transformers": sentence_transformers})
    order = {text: i for i, text in enumerate(longest_first)}
    in_order = vectors["bare"][[order[text] for text in texts]]
    for name in ("fill", "theirs"):
        if torch.cosine_similarity(vectors[name], in_order).min() < 1 - 1e-5:
            raise RuntimeError(f"the vectors of {name} differ from the encoder's own")
    return report(
        "filling with MiniLM",
        {
            "texts_per_second": len(texts) / statistics.median(seconds["fill"]),
            "against_bare_forward": ratio(seconds, "fill", "bare"),
            "against_sentence_transformers": ratio(seconds, "fill", "sentence-transformers"),
        },
    )


def measure_keys(_: torch.device) -> dict[str, object]:
    texts = list(random_texts(100_000))
    samples = [SimilarityGroupSample(text, i % 500) for i, text in enumerate(texts)]
    store_keys = b"".join(map(content_key, texts))
    vectors = np.zeros((len(texts), DIMENSION), dtype=np.float32)
    model = Model(Lookup(None), CacheConfig())
    keys = np.frombuffer(store_keys, np.uint8).reshape(-1, 16)
    fingerprint = model.model.encoders["default"].fingerprint()
    model.embedding_stores["default"] = EmbeddingStore.from_vectors(keys, vectors, fingerprint=fingerprint)
    loader = GroupSimilarityDataLoader(samples, batch_size=1024)
    start = time.perf_counter()
    prepare_batches(model, loader)
    seconds = time.perf_counter() - start
    return report("reading a data set of 100,000 texts", {"objects_per_second": len(texts) / seconds})


PARTS: dict[str, Callable[[torch.device], dict[str, object]]] = {
    "epochs": measure_epochs,
    "uncached": measure_uncached,
    "long": measure_long,
    "fill": measure_fill,
    "keys": measure_keys,
    "start": measure_start,
    "disk": measure_disk,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS), help="measure only these parts")
    parser.add_argument("--device", default="cpu", help='"cpu" or "cuda" (default cpu)')
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="CPU threads (default: all cores)")
    parser.add_argument("--child", nargs="+", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", module="pytorch_lightning")
    torch.set_num_threads(arguments.threads)
    if arguments.child:
        name, *rest = arguments.child
        print(json.dumps(CHILDREN[name](*rest)))
        return
    result: dict[str, object] = {"machine": machine()}
    if arguments.json is not None and arguments.json.exists() and len(arguments.only) < len(PARTS):
        result = json.loads(arguments.json.read_text()) | result  # the parts that are not measured again stay
    for name in arguments.only:
        result[name] = PARTS[name](torch.device(arguments.device))
        if arguments.json is not None:
            arguments.json.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
