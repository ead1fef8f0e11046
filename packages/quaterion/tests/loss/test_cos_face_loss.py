import math

import torch
from pytorch_metric_learning import losses
from torch import Tensor

from quaterion.loss import CosFaceLoss
from quaterion.testing import check_loss
from quaterion.testing.plain_losses import plain_cos_face


def test_battery() -> None:
    # Ideal: cosine 1 − 0.35 to the own class weight, 0 to three others.
    minimum = math.log1p(3 * math.exp(-64 * 0.65))
    check_loss(CosFaceLoss(8, 4), reference=plain_cos_face, minimum=minimum)


def test_it_equals_pytorch_metric_learning(grouped: tuple[Tensor, Tensor]) -> None:
    ours = CosFaceLoss(16, 6, margin=0.35, scale=64).double()
    theirs = losses.CosFaceLoss(6, 16, margin=0.35, scale=64).double()
    theirs.W.data = ours.weight.detach().T.clone()
    assert torch.allclose(ours(*grouped), theirs(*grouped))


def test_class_scores_classify() -> None:
    loss = CosFaceLoss(4, 3)
    assert loss.class_scores(loss.weight.detach()).argmax(dim=1).tolist() == [0, 1, 2]
