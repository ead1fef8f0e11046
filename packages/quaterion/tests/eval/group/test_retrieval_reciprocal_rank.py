import pytest
import torch

from quaterion.eval.group.retrieval_reciprocal_rank import RetrievalReciprocalRank


def test_only_the_first_relevant_candidate_counts():
    # From 0° the others are at 10°, 20°, 30° and 40°; relevant are the second and the fourth.
    angles = torch.deg2rad(torch.tensor([0.0, 10, 20, 30, 40]))
    points = torch.stack([angles.cos(), angles.sin()], dim=1)
    groups = torch.tensor([0, 1, 0, 1, 0])
    scores = RetrievalReciprocalRank(reduce_func=None).compute(points, groups)
    assert scores[0].item() == pytest.approx(1 / 2)
