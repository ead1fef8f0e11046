import pytest
import torch

from quaterion.eval.pair.retrieval_r_precision import RetrievalRPrecision


def test_it_is_the_share_of_the_first_r():
    # Row 0 has the partners 1, 2 and 4 at 10°, 20° and 40°; at 30° stands another. Two of the first three are right.
    angles = torch.deg2rad(torch.tensor([0.0, 10, 20, 30, 40]))
    points = torch.stack([angles.cos(), angles.sin()], dim=1)
    pairs = torch.tensor([[0, 1], [0, 2], [0, 4]])
    scores = RetrievalRPrecision(reduce_func=None).compute(points, torch.ones(3), pairs, torch.empty(0))
    assert scores[0].item() == pytest.approx(2 / 3)
