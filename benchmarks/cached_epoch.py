"""An epoch from cached vectors through `Quaterion.fit`, against a bare loop over a tensor with no framework."""

import logging
import statistics
import time
import warnings

import pytorch_lightning as pl
import torch
from torch import Tensor

from harness import RUNS, main
from quaterion import Quaterion, TrainableModel
from quaterion.dataset import GroupSimilarityDataLoader, SimilarityGroupSample
from quaterion.loss import TripletLoss
from quaterion.train.cache import CacheConfig
from quaterion_models.encoders import Encoder
from quaterion_models.heads import SkipConnectionHead

ITEMS, DIMENSION, GROUPS, EPOCHS = 20_000, 384, 500, 4


class Lookup(Encoder):
    """Gives vector i for the object i."""

    trainable = False
    embedding_size = DIMENSION

    def __init__(self, vectors: Tensor) -> None:
        super().__init__()
        self.register_buffer("vectors", vectors)

    def forward(self, batch: Tensor) -> Tensor:
        return self.vectors[batch]


class Model(TrainableModel):
    def __init__(self, vectors: Tensor) -> None:
        self._vectors = vectors
        super().__init__()

    def configure_encoders(self) -> Encoder:
        return Lookup(self._vectors)

    def configure_head(self, input_embedding_size: int) -> SkipConnectionHead:
        return SkipConnectionHead(input_embedding_size)

    def configure_loss(self) -> TripletLoss:
        return TripletLoss()

    def configure_caches(self) -> CacheConfig:
        return CacheConfig(batch_size=1024)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.model.parameters(), 1e-3)


class EpochTimes(pl.Callback):
    """Notes how long each epoch took."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    def on_train_epoch_start(self, *_: object) -> None:
        self._start = time.perf_counter()

    def on_train_epoch_end(self, *_: object) -> None:
        self.seconds.append(time.perf_counter() - self._start)


def through_fit(model: Model, loader: GroupSimilarityDataLoader) -> list[float]:
    times = EpochTimes()
    quiet = dict.fromkeys(("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary"), False)
    trainer = pl.Trainer(accelerator="cpu", devices=1, max_epochs=EPOCHS, callbacks=[times], **quiet)
    Quaterion.fit(model, trainer, loader)
    return times.seconds[1:]


def bare(vectors: Tensor, groups: Tensor, batch_size: int) -> list[float]:
    head, loss = SkipConnectionHead(DIMENSION), TripletLoss()
    optimizer = torch.optim.Adam(head.parameters(), 1e-3)
    seconds = []
    for _ in range(EPOCHS):
        start = time.perf_counter()
        for rows in torch.randperm(len(vectors)).split(batch_size):
            value = loss(head(vectors.index_select(0, rows)), groups.index_select(0, rows))
            optimizer.zero_grad()
            value.backward()
            optimizer.step()
        seconds.append(time.perf_counter() - start)
    return seconds[1:]


def run() -> dict[str, object]:
    logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", module="pytorch_lightning")
    generator = torch.Generator().manual_seed(0)
    vectors = torch.randn(ITEMS, DIMENSION, generator=generator)
    groups = torch.arange(ITEMS) % GROUPS
    samples = [SimilarityGroupSample(i, group) for i, group in enumerate(groups.tolist())]
    figures: dict[str, object] = {}
    for batch_size in (1024, 256, 64):
        model = Model(vectors)
        loader = GroupSimilarityDataLoader(samples, batch_size=batch_size, shuffle=True)
        seconds: dict[str, list[float]] = {"fit": [], "bare loop": []}
        for _ in range(RUNS):
            seconds["fit"] += through_fit(model, loader)
            seconds["bare loop"] += bare(vectors, groups, batch_size)
        medians = {name: statistics.median(values) for name, values in seconds.items()}
        figures[f"fit / bare loop at {batch_size}"] = medians["fit"] / medians["bare loop"]
        steps = -(-ITEMS // batch_size)
        figures[f"framework cost per step at {batch_size} (ms)"] = (
            1000 * (medians["fit"] - medians["bare loop"]) / steps
        )
        figures[f"seconds at {batch_size}"] = seconds
    return figures


if __name__ == "__main__":
    main(run, __doc__)
