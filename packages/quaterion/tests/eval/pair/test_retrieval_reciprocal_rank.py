import pytest
import torch

from quaterion.distances import Distance
from quaterion.eval.pair.retrieval_reciprocal_rank import RetrievalReciprocalRank


def test_only_the_first_relevant_candidate_counts():
    # From 0° the others are at 10°, 20° and 30°; with ids, the copies at 20° and 30° are both relevant.
    angles = torch.deg2rad(torch.tensor([0.0, 10, 20, 30]))
    points = torch.stack([angles.cos(), angles.sin()], dim=1)
    pairs, ids = torch.tensor([[0, 2], [1, 3]]), torch.tensor([0, 1, 2, 2])
    metric = RetrievalReciprocalRank(reduce_func=None)
    assert metric.compute(points, torch.ones(2), pairs, torch.zeros(4), ids=ids)[0].item() == pytest.approx(1 / 2)


def test_arguments_go_by_position_as_documented():
    metric = RetrievalReciprocalRank(Distance.MANHATTAN, None)
    assert (metric.distance_metric_name, metric.reduce_func) == ("manhattan", None)
