import pytest
import torch

from quaterion.distances import Distance
from quaterion.eval.pair.retrieval_precision import RetrievalPrecision


def test_it_is_the_share_of_the_first_k():
    # From 0° the others are at 10°, 20° and 30°; the partner is the second.
    angles = torch.deg2rad(torch.tensor([0.0, 10, 20, 30]))
    points = torch.stack([angles.cos(), angles.sin()], dim=1)
    pairs = torch.tensor([[0, 2], [1, 3]])
    firsts = [
        RetrievalPrecision(k, reduce_func=None).compute(points, torch.ones(2), pairs, torch.zeros(4))[0].item()
        for k in (1, 2, 3)
    ]
    assert firsts == pytest.approx([0, 1 / 2, 1 / 3])


def test_arguments_go_by_position_as_documented():
    metric = RetrievalPrecision(3, Distance.EUCLIDEAN, None)
    assert (metric.k, metric.distance_metric_name, metric.reduce_func) == (3, "euclidean", None)
    assert (RetrievalPrecision().k, RetrievalPrecision().reduce_func) == (1, torch.mean)
