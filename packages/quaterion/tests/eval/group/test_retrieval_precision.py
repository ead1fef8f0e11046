import pytest
import torch

from quaterion.distances import Distance
from quaterion.eval.group.retrieval_precision import RetrievalPrecision


def test_it_is_the_share_of_the_first_k():
    # From 0° the others are at 10°, 20°, 30° and 40°; of these the second and the fourth are relevant.
    angles = torch.deg2rad(torch.tensor([0.0, 10, 20, 30, 40]))
    points = torch.stack([angles.cos(), angles.sin()], dim=1)
    groups = torch.tensor([0, 1, 0, 1, 0])
    firsts = [RetrievalPrecision(k, reduce_func=None).compute(points, groups)[0].item() for k in (1, 2, 3, 4)]
    assert firsts == pytest.approx([0, 1 / 2, 1 / 3, 2 / 4])


def test_arguments_go_by_position_as_documented():
    metric = RetrievalPrecision(3, Distance.EUCLIDEAN, torch.max)
    assert (metric.k, metric.distance_metric_name, metric.reduce_func) == (3, "euclidean", torch.max)
    assert RetrievalPrecision().k == 1
