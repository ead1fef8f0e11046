"""Parts of benchmarks/cache.py that need a process of their own: a second run, and vectors that stay on disk."""

import json
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch

from cached_training import DIMENSION, Lookup, Model, fit, minilm, random_texts, random_vectors, report
from harness import RUNS, status
from quaterion.cache import EmbeddingStore
from quaterion.dataset import GroupSimilarityDataLoader, SimilarityGroupSample
from quaterion.train.cache import CacheConfig, CacheType
from quaterion_models.content_key import content_key
from quaterion_models.encoders import SentenceTransformerEncoder

MIB = 2**20


def measure_start(_: torch.device) -> dict[str, object]:
    result: dict[str, object] = {}
    for kind, count in (("texts", 20_000), ("data set with a fingerprint", 200_000)):
        with tempfile.TemporaryDirectory() as folder:
            texts = list(random_texts(count, words=8))
            fill_folder(Path(folder), texts, SentenceTransformerEncoder(minilm()).fingerprint())
            arguments = [folder, str(count), "fingerprint" if "fingerprint" in kind else ""]
            runs = [child("start", *arguments) for _ in range(RUNS)]
            seconds = [run["seconds"] for run in runs]
            result[f"{count:,} {kind}"] = {
                "seconds_to_first_step": statistics.median(seconds[1:]),  # the first one writes the index
                "weights_loaded": any(run["weights_loaded"] for run in runs),
                "disk_mib": sum(f.stat().st_size for f in Path(folder).rglob("*") if f.is_file()) / MIB,
                "peak_memory_mib": max(run["peak_mib"] for run in runs),
            }
            report(f"second run, {count:,} {kind}", result[f"{count:,} {kind}"])
    return result


class Samples(list[Any]):
    """A data set that says when it changes."""

    fingerprint = "texts from seed 0"


def child_start(folder: str, count: str, fingerprint: str) -> dict[str, object]:
    samples = [SimilarityGroupSample(text, i % 50) for i, text in enumerate(random_texts(int(count), words=8))]
    data = Samples(samples) if fingerprint else samples
    start = time.perf_counter()  # what came before stands in for reading the user's file
    encoder = SentenceTransformerEncoder(minilm())
    model = Model(encoder, CacheConfig(save_dir=folder))
    times = fit(model, GroupSimilarityDataLoader(data, batch_size=1024, shuffle=True), torch.device("cpu"), 1)
    return {
        "seconds": times.started - start,
        "weights_loaded": encoder.__dict__["_frozen"] is not None,
        "peak_mib": status("VmHWM"),
    }


def fill_folder(folder: Path, objects: Any, fingerprint: str, *, block: int = 4096) -> None:
    """A filled cache of random vectors, as training would leave it."""
    generator = np.random.default_rng(0)
    place = CacheConfig(save_dir=folder).store_folder(fingerprint)
    store = EmbeddingStore(fingerprint=fingerprint, dimension=DIMENSION, encoder="benchmark", folder=place)
    for start in range(0, len(objects), block):
        keys = b"".join(content_key(obj) for obj in objects[start : start + block])
        count = len(keys) // 16
        vectors = generator.standard_normal((count, DIMENSION), dtype=np.float32)
        store.add(np.frombuffer(keys, np.uint8).reshape(-1, 16), vectors)
    store.flush()


def measure_disk(_: torch.device) -> dict[str, object]:
    result: dict[str, object] = {}
    for rows in (1_000_000, 4_000_000):
        with tempfile.TemporaryDirectory() as folder:
            fill_folder(Path(folder), range(rows), Lookup(None).fingerprint())
            result[f"{rows:,}"] = child("disk", folder, str(rows))
            report(f"on disk, {rows:,} x {DIMENSION}", result[f"{rows:,}"])
    return result


class Numbers(torch.utils.data.Dataset[Any]):
    def __init__(self, count: int) -> None:
        self.count = count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> SimilarityGroupSample:
        return SimilarityGroupSample(index, index % 1000)


def child_disk(folder: str, rows: str) -> dict[str, object]:
    device = torch.device("cpu")
    warm_up = Model(Lookup(random_vectors(64)), CacheConfig())
    fit(
        warm_up,
        GroupSimilarityDataLoader([SimilarityGroupSample(i, i % 2) for i in range(64)], batch_size=64),
        device,
        1,
    )
    before = status("RssAnon")
    with peak_of("RssAnon") as peak:
        model = Model(Lookup(None), CacheConfig(CacheType.DISK, save_dir=folder))
        loader = GroupSimilarityDataLoader(Numbers(int(rows)), batch_size=1024, shuffle=True)
        start = time.perf_counter()
        times = fit(model, loader, device, 1, limit_train_batches=1000)
        seconds = time.perf_counter() - start
    return {
        "anonymous_mib_above_torch": peak[0] - before,
        "anonymous_mib_of_torch": before,
        "seconds_to_first_step": times.started - start,
        "steps_per_second": min(1000, int(rows) // 1024) / times.seconds[0],
        "seconds": seconds,
    }


@contextmanager
def peak_of(field: str) -> Iterator[list[float]]:
    peak, done = [0.0], threading.Event()

    def watch() -> None:
        while not done.wait(0.01):
            peak[0] = max(peak[0], status(field))

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield peak
    finally:
        done.set()
        thread.join()


def child(name: str, *arguments: str) -> dict[str, Any]:
    command = [sys.executable, str(Path(__file__).with_name("cache.py")), "--child", name, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr)
    return dict(json.loads(done.stdout.splitlines()[-1]))


CHILDREN: dict[str, Callable[..., dict[str, object]]] = {"start": child_start, "disk": child_disk}
