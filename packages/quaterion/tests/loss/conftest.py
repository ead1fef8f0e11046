from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn


@pytest.fixture(autouse=True)
def seed() -> None:
    torch.manual_seed(0)


@pytest.fixture
def grouped() -> tuple[Tensor, Tensor]:
    """Embeddings in which every group has at least two objects, so that every object is a valid anchor."""
    return torch.randn(24, 16, dtype=torch.float64), torch.arange(24) % 6


class _Columns(nn.Module):
    """Stands where sentence-transformers expects a model: each column of texts is its own embeddings."""

    def forward(self, features: dict[str, Tensor]) -> dict[str, Tensor]:
        return features


@pytest.fixture
def columns() -> Callable[..., list[dict[str, Tensor]]]:
    """Wrap embeddings as sentence-transformers losses take them, one column per position in a pair or triplet."""
    return lambda *parts: [{"sentence_embedding": part} for part in parts]


@pytest.fixture
def columns_model() -> nn.Module:
    return _Columns()
