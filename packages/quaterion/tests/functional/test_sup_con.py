import math
from collections.abc import Callable

import pytest
import torch

from quaterion.functional.sup_con import sup_con_loss


def test_the_mean_over_positives_stands_outside_of_the_logarithm() -> None:
    # Similarities from the first object: positives 1 and 0, negative −1.
    embeddings = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]])
    groups = torch.tensor([0, 0, 0, 1])

    def term(positives: list[float], negative: float) -> float:
        total = sum(math.exp(s) for s in [*positives, negative])
        return -sum(math.log(math.exp(s) / total) for s in positives) / len(positives)

    expected = (2 * term([1, 0], -1) + term([0, 0], 0)) / 3
    assert sup_con_loss(embeddings, groups, temperature=1.0).item() == pytest.approx(expected)


def test_one_group_alone_still_learns() -> None:
    # Anchors need a positive, not a negative: two positives at different similarities can be evened out.
    embeddings = torch.tensor([[1.0, 0.0], [0.8, 0.6], [0.0, 1.0]], requires_grad=True)
    sup_con_loss(embeddings, torch.zeros(3)).backward()
    assert embeddings.grad is not None
    assert embeddings.grad.any()


def test_blocks_of_rows_change_nothing(compare_blocks: Callable[..., None]) -> None:
    groups = torch.arange(20) % 4
    compare_blocks(lambda x: sup_con_loss(x, groups), torch.randn(20, 5))
