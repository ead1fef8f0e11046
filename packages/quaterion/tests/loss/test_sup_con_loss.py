import math

import pytest
import torch
from pytorch_metric_learning import losses
from torch import Tensor

from quaterion.distances import Distance
from quaterion.loss import SupConLoss
from quaterion.testing import check_loss
from quaterion.testing.plain_losses import plain_sup_con


def test_battery() -> None:
    # Ideal: three positives at similarity 1, twelve negatives at 0, τ = 0.1.
    minimum = math.log(3 * math.exp(10) + 12) - 10
    check_loss(SupConLoss(), reference=plain_sup_con, minimum=minimum)


def test_battery_with_another_distance() -> None:
    loss = SupConLoss(distance_metric_name=Distance.MANHATTAN)
    check_loss(loss, reference=plain_sup_con, skip={"compile"})


def test_it_equals_pytorch_metric_learning(grouped: tuple[Tensor, Tensor]) -> None:
    assert torch.allclose(SupConLoss(0.1)(*grouped), losses.SupConLoss(temperature=0.1)(*grouped))


def test_an_impossible_temperature_is_refused() -> None:
    with pytest.raises(ValueError, match="temperature must be a finite number greater than 0, got -1"):
        SupConLoss(-1)
