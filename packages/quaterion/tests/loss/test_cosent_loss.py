import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from quaterion.distances import Distance
from quaterion.loss import CoSENTLoss
from quaterion.testing import check_loss
from quaterion.testing.plain_losses import plain_cosent


def test_battery() -> None:
    # Ideal: two pairs of score 1 at similarity 1, two of score 0 at similarity 0: four comparisons.
    check_loss(CoSENTLoss(), reference=plain_cosent, minimum=math.log1p(4 * math.exp(-20)))


def test_battery_with_another_distance() -> None:
    check_loss(CoSENTLoss(5.0, Distance.MANHATTAN), reference=plain_cosent, skip={"compile"})


@pytest.mark.slow
def test_it_equals_sentence_transformers(
    columns: Callable[..., list[dict[str, Tensor]]], columns_model: nn.Module
) -> None:
    from sentence_transformers.sentence_transformer.losses import CoSENTLoss as TheirLoss

    rows, scores = torch.randn(12, 5), torch.tensor([0.2, 0.2, 1.0, 0.4, 0.8, 0.0])
    theirs = TheirLoss(columns_model, scale=20.0)(columns(rows[:6], rows[6:]), scores)
    ours = CoSENTLoss()(rows, torch.arange(12).reshape(2, 6).T, scores, torch.tensor([]))
    assert torch.allclose(ours, theirs)


def test_an_impossible_scale_is_refused() -> None:
    with pytest.raises(ValueError, match="scale must be a finite number greater than 0, got -2"):
        CoSENTLoss(scale=-2)
