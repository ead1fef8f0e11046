import math

import pytest
import torch
from pytorch_metric_learning import losses
from torch import Tensor

from quaterion.loss import ArcFaceLoss
from quaterion.loss.arcface_loss import ArcFaceLoss as FromOlderPath
from quaterion.testing import check_loss
from quaterion.testing.plain_losses import plain_arc_face


@pytest.mark.parametrize("sub_centers", [1, 3])
def test_battery(sub_centers: int) -> None:
    # Ideal: an angle of 0, plus the margin, to the own class weight, and cosine 0 to three others.
    minimum = math.log1p(3 * math.exp(-64 * math.cos(0.5)))
    loss = ArcFaceLoss(8, 4, sub_centers=sub_centers)
    check_loss(loss, reference=plain_arc_face, minimum=minimum, skip=() if sub_centers == 1 else {"compile"})


def test_battery_with_a_margin_that_many_angles_exceed() -> None:
    check_loss(ArcFaceLoss(8, 4, scale=4.0, margin=2.0), reference=plain_arc_face, skip={"compile", "minimum"})


def test_it_equals_pytorch_metric_learning(grouped: tuple[Tensor, Tensor]) -> None:
    ours = ArcFaceLoss(16, 6, scale=64, margin=0.5).double()
    theirs = losses.ArcFaceLoss(6, 16, margin=math.degrees(0.5), scale=64).double()
    theirs.W.data = ours.weight.detach().T.clone()
    assert torch.allclose(ours(*grouped), theirs(*grouped))


def test_sub_centres_equal_pytorch_metric_learning(grouped: tuple[Tensor, Tensor]) -> None:
    ours = ArcFaceLoss(16, 6, scale=64, margin=0.5, sub_centers=3).double()
    theirs = losses.SubCenterArcFaceLoss(
        num_classes=6, embedding_size=16, margin=math.degrees(0.5), scale=64, sub_centers=3
    ).double()
    theirs.W.data = ours.weight.detach().T.clone()
    assert torch.allclose(ours(*grouped), theirs(*grouped))


def test_class_weights_are_one_parameter_with_the_centres_of_a_group_together() -> None:
    loss = ArcFaceLoss(4, 3, sub_centers=2)
    assert [tuple(parameter.shape) for parameter in loss.parameters()] == [(6, 4)]
    assert loss.class_scores(loss.weight.detach()).argmax(dim=1).tolist() == [0, 0, 1, 1, 2, 2]


def test_a_margin_in_degrees_is_recognised() -> None:
    with pytest.raises(ValueError, match=r"margin is an angle in radians .* got 28.6: 28.6° are 0.499"):
        ArcFaceLoss(4, 3, margin=28.6)


def test_the_older_module_path_gives_the_same_class() -> None:
    assert FromOlderPath is ArcFaceLoss
