"""A countable encoder and a model around it, for the tests of the cache."""

from typing import Any

import pytest
import torch

from quaterion.cache import CacheConfig
from quaterion.cache.prepare import BatchSource
from quaterion.dataset import GroupSimilarityDataLoader, SimilarityGroupSample
from quaterion_models import SimilarityModel
from quaterion_models.encoders import Encoder
from quaterion_models.heads import EmptyHead


class LetterCounts(Encoder):
    """Counts four letters of a text, and remembers every batch that it encodes."""

    def __init__(self, version: int = 1) -> None:
        super().__init__()
        self.version = version
        self.batches: list[list[str]] = []

    @property
    def trainable(self) -> bool:
        return False

    @property
    def embedding_size(self) -> int:
        return 4

    def fingerprint(self) -> str:
        return f"letters-{self.version}".ljust(32, "-")

    def get_collate_fn(self) -> Any:
        return list

    def forward(self, batch: list[str]) -> torch.Tensor:
        self.batches.append(list(batch))
        return torch.tensor([[text.count(letter) * self.version for letter in "abcd"] for text in batch]).float()


@pytest.fixture
def letter_counts() -> type[LetterCounts]:
    return LetterCounts


@pytest.fixture
def read_batches():
    """Batches of texts in order through a cache, with the texts that were encoded for them."""

    def read(texts, config=None, *, encoder=None, **loading):
        encoder = encoder or LetterCounts()
        model = SimilarityModel(encoder, EmptyHead(4))
        source = BatchSource(model, config or CacheConfig(), torch.device("cpu"))
        data = [SimilarityGroupSample(text, i) for i, text in enumerate(texts)]
        loader = GroupSimilarityDataLoader(data, **{"batch_size": 3} | loading)
        batches = list(source.batches(loader, source.read(loader)))
        vectors = torch.cat([batch.features.cached["default"] for batch in batches])
        return vectors, [text for batch in encoder.batches for text in batch]

    return read
