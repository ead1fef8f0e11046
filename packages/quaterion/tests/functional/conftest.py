from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from quaterion.functional import mining, row_blocks

CompareBlocks = Callable[[Callable[[Tensor], Tensor], Tensor], None]


@pytest.fixture(autouse=True)
def seed() -> None:
    torch.manual_seed(0)


@pytest.fixture
def compare_blocks(monkeypatch: pytest.MonkeyPatch) -> CompareBlocks:
    """Check that value and gradient of a formula do not depend on how many rows it takes at once."""

    def compare(function: Callable[[Tensor], Tensor], embeddings: Tensor) -> None:
        embeddings = embeddings.detach().double().requires_grad_()
        whole = function(embeddings)
        (expected,) = torch.autograd.grad(whole, embeddings)
        with monkeypatch.context() as patch:
            patch.setattr(row_blocks, "WHOLE_MATRIX", 4 * len(embeddings))
            patch.setattr(row_blocks, "GRADIENT_BLOCK", 3 * len(embeddings))
            patch.setattr(mining, "MINING_BLOCK", 2 * len(embeddings))
            blocks = function(embeddings)
            (got,) = torch.autograd.grad(blocks, embeddings)
        assert expected.any()
        assert torch.allclose(blocks, whole, rtol=1e-12)
        assert torch.allclose(got, expected, rtol=1e-10, atol=1e-14)

    return compare
