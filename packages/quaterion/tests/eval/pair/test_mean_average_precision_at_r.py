import pytest
import torch

from quaterion.eval.pair.mean_average_precision_at_r import MeanAveragePrecisionAtR


def test_it_adds_up_the_precision_at_each_relevant_place_among_the_first_r():
    # Row 0 has the partners 2, 3 and 4 at 20°, 30° and 40°; at 10° stands another: hits at places 2 and 3 of R = 3.
    angles = torch.deg2rad(torch.tensor([0.0, 10, 20, 30, 40]))
    points = torch.stack([angles.cos(), angles.sin()], dim=1)
    pairs = torch.tensor([[0, 2], [0, 3], [0, 4]])
    scores = MeanAveragePrecisionAtR(reduce_func=None).compute(points, torch.ones(3), pairs, torch.empty(0))
    assert scores[0].item() == pytest.approx((1 / 2 + 2 / 3) / 3)
