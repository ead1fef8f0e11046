"""Small real models for the tests of training."""

from collections.abc import Callable
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from torch import nn

from quaterion.dataset import SimilarityGroupSample, SimilarityPairSample
from quaterion.loss import TripletLoss
from quaterion.train import TrainableModel
from quaterion_models.encoders import Encoder
from quaterion_models.heads import SkipConnectionHead

SIZE = 8

# Programs, which find their neighbours only when they are run.
collect_ignore = ["several_devices_program.py", "several_devices_resume.py"]


class LinearEncoder(Encoder):
    """Vectors of numbers through a layer with dropout; counts the objects that it encodes."""

    def __init__(self, size: int = SIZE, *, trainable: bool = False, seed: int = 0) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        self.layer = nn.Linear(4, size, bias=False)
        self.layer.weight.data = torch.randn(size, 4, generator=generator)
        self.dropout = nn.Dropout(0.5)
        self._trainable = trainable
        self._size = size
        self.register_buffer("encoded", torch.zeros((), dtype=torch.int64), persistent=False)

    @property
    def trainable(self) -> bool:
        return self._trainable

    @property
    def embedding_size(self) -> int:
        return self._size

    def fingerprint(self) -> str:
        return f"linear-{self._size}-{float(self.layer.weight.sum())}"

    def get_collate_fn(self) -> Callable[[list[Any]], torch.Tensor]:
        return collate_numbers

    def forward(self, batch: torch.Tensor) -> torch.Tensor:
        self.encoded += len(batch)
        return self.dropout(self.layer(batch))


def collate_numbers(objects: list[tuple[float, ...]]) -> torch.Tensor:
    return torch.tensor(objects, dtype=torch.float32)


class Model(TrainableModel):
    """A model of given parts that keeps the loss of every step."""

    def __init__(self, *, encoders=None, head=None, loss=None, caches=None, metrics=(), xbm=None, lr=1e-2) -> None:
        self._parts = {"encoders": encoders or LinearEncoder(), "head": head, "loss": loss or TripletLoss()}
        self._caches, self._metrics, self._xbm_settings = caches, metrics, xbm
        super().__init__()
        self.lr = lr
        self.steps: list[tuple[str, float]] = []

    def configure_encoders(self):
        return self._parts["encoders"]

    def configure_head(self, input_embedding_size):
        make = self._parts["head"]
        return make(input_embedding_size) if make else SkipConnectionHead(input_embedding_size, dropout=0.2)

    def configure_loss(self):
        return self._parts["loss"]

    def configure_caches(self):
        return self._caches

    def configure_metrics(self):
        return self._metrics

    def configure_xbm(self):
        return self._xbm_settings

    def process_results(self, embeddings, targets, batch_idx, stage, **kwargs):
        self.steps.append((str(stage), float(self.loss(embeddings.detach(), **targets))))


def numbers(count: int, seed: int = 0) -> list[tuple[float, ...]]:
    generator = torch.Generator().manual_seed(seed)
    return [tuple(row) for row in torch.randn(count, 4, generator=generator).tolist()]


class LooksAtEveryStep(pl.Callback):
    """Acts after each step, so that the loss of each step is logged."""

    def on_train_batch_end(self, *_):
        pass


@pytest.fixture
def every_step() -> pl.Callback:
    return LooksAtEveryStep()


@pytest.fixture
def encoder_type() -> type[LinearEncoder]:
    return LinearEncoder


@pytest.fixture
def model_type() -> type[Model]:
    return Model


@pytest.fixture
def group_data() -> list[SimilarityGroupSample]:
    """50 objects of 5 groups, some of them twice."""
    objects = numbers(45)
    return [SimilarityGroupSample(obj, f"group {i % 5}") for i, obj in enumerate([*objects, *objects[:5]])]


@pytest.fixture
def pair_data() -> list[SimilarityPairSample]:
    """40 pairs, every third with explicit negatives."""
    objects = numbers(120)
    return [
        SimilarityPairSample(objects[i], objects[i + 40], negatives=objects[i + 80 : i + 80 + i % 3], subgroup=i % 20)
        for i in range(40)
    ]
