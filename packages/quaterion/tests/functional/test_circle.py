import math
from collections.abc import Callable

import pytest
import torch

from quaterion.functional.circle import circle_loss


def test_both_weights_pull_and_push_the_right_way() -> None:
    # Of two pairs at right angles: s_p = 0.6, s_n = 0 and 0.8 for the first anchor, and alike for the others.
    embeddings = torch.tensor([[1.0, 0.0, 0.0], [0.6, 0.8, 0.0], [0.0, 1.0, 0.0]], requires_grad=True)
    groups = torch.tensor([0, 0, 1])
    m, gamma = 0.25, 4.0

    def term(positive: float, negative: float) -> float:
        pull = -gamma * (1 + m - positive) * (positive - (1 - m))
        push = gamma * (negative + m) * (negative - m)
        return math.log(1 + math.exp(pull + push))

    # The third object has no positive: it does not count.
    expected = (term(0.6, 0.0) + term(0.6, 0.8)) / 2
    loss = circle_loss(embeddings, groups, margin=m, scale_factor=gamma)
    assert loss.item() == pytest.approx(expected)


def test_a_very_large_scale_stays_finite() -> None:
    embeddings = torch.randn(8, 3, requires_grad=True)
    loss = circle_loss(embeddings, torch.arange(8) % 2, scale_factor=1e6)
    loss.backward()
    assert loss.isfinite()
    assert embeddings.grad is not None
    assert embeddings.grad.isfinite().all()


def test_blocks_of_rows_change_nothing(compare_blocks: Callable[..., None]) -> None:
    groups = torch.arange(20) % 4
    compare_blocks(lambda x: circle_loss(x, groups, scale_factor=16.0), torch.randn(20, 5))
