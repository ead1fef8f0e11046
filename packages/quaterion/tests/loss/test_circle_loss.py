import math

import pytest
import torch
from pytorch_metric_learning import losses, reducers
from torch import Tensor

from quaterion.distances import Distance
from quaterion.loss import CircleLoss
from quaterion.testing import check_loss
from quaterion.testing.plain_losses import plain_circle


def test_battery() -> None:
    # Ideal: three positives at 1 with α = 0.25, twelve negatives at 0 with α = 0.25: each exponent is −256/16.
    minimum = math.log1p(3 * 12 * math.exp(-32))
    # The weights are detached, which finite differences do not know.
    check_loss(CircleLoss(), reference=plain_circle, minimum=minimum, skip={"gradcheck"})


@pytest.mark.parametrize("distance", [Distance.EUCLIDEAN, Distance.MANHATTAN, Distance.DOT_PRODUCT])
def test_battery_with_other_distances(distance: Distance) -> None:
    loss = CircleLoss(scale_factor=8, distance_metric_name=distance)
    check_loss(loss, reference=plain_circle, skip={"gradcheck", "compile"})


def test_it_equals_pytorch_metric_learning(grouped: tuple[Tensor, Tensor]) -> None:
    theirs = losses.CircleLoss(m=0.25, gamma=80, reducer=reducers.MeanReducer())
    assert torch.allclose(CircleLoss(0.25, 80)(*grouped), theirs(*grouped))


def test_impossible_hyper_parameters_are_refused() -> None:
    with pytest.raises(ValueError, match="scale_factor must be a finite number greater than 0, got 0"):
        CircleLoss(scale_factor=0)
    with pytest.raises(ValueError, match="margin must be a finite number of at least 0"):
        CircleLoss(margin=-1)
