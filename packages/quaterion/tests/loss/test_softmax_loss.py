import math

import pytest
import torch
from pytorch_metric_learning import losses
from torch import Tensor

from quaterion.loss import SoftmaxLoss
from quaterion.testing import check_loss
from quaterion.testing.plain_losses import plain_softmax


def test_battery() -> None:
    # Ideal: cosine 1 to the own class weight, 0 to three others, τ = 0.05.
    check_loss(SoftmaxLoss(8, 4), reference=plain_softmax, minimum=math.log1p(3 * math.exp(-20)))


def test_battery_with_the_dot_product() -> None:
    check_loss(SoftmaxLoss(8, 4, temperature=1.0, normalize=False), reference=plain_softmax, skip={"compile"})


def test_it_equals_pytorch_metric_learning(grouped: tuple[Tensor, Tensor]) -> None:
    ours, theirs = SoftmaxLoss(16, 6).double(), losses.NormalizedSoftmaxLoss(6, 16, temperature=0.05).double()
    theirs.W.data = ours.weight.detach().T.clone()
    assert torch.allclose(ours(*grouped), theirs(*grouped))


def test_class_scores_classify() -> None:
    loss = SoftmaxLoss(4, 3)
    assert loss.class_scores(5 * loss.weight.detach()).argmax(dim=1).tolist() == [0, 1, 2]


def test_impossible_hyper_parameters_are_refused() -> None:
    with pytest.raises(ValueError, match="temperature must be a finite number greater than 0"):
        SoftmaxLoss(4, 3, temperature=0)
    with pytest.raises(ValueError, match="num_groups must be a whole number of at least 1, got 0"):
        SoftmaxLoss(4, 0)
