import pytest
import torch

from quaterion.eval.group.mean_average_precision_at_r import MeanAveragePrecisionAtR


def test_it_adds_up_the_precision_at_each_relevant_place_among_the_first_r():
    # From 0° the others are at 10°, 20°, 30° and 40°; relevant are the second and the third of R = 3.
    angles = torch.deg2rad(torch.tensor([0.0, 10, 20, 30, 40]))
    points = torch.stack([angles.cos(), angles.sin()], dim=1)
    groups = torch.tensor([0, 1, 0, 0, 0])
    scores = MeanAveragePrecisionAtR(reduce_func=None).compute(points, groups)
    assert scores[0].item() == pytest.approx((1 / 2 + 2 / 3) / 3)
