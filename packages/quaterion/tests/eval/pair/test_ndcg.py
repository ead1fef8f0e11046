import math

import pytest
import torch

from quaterion.eval.pair.ndcg import NDCG


def test_a_hit_counts_the_less_the_later_it_comes():
    # From 0° the others are at 10°, 20° and 30°; its partner is the second, so the gain is 1/log2(3) of 1.
    angles = torch.deg2rad(torch.tensor([0.0, 10, 20, 30]))
    points = torch.stack([angles.cos(), angles.sin()], dim=1)
    scores = NDCG(3, reduce_func=None).compute(points, torch.ones(2), torch.tensor([[0, 2], [1, 3]]), torch.empty(0))
    assert scores[0].item() == pytest.approx(1 / math.log2(3))


def test_arguments_go_by_position():
    metric = NDCG(3, "euclidean", torch.max)
    assert (metric.k, metric.distance_metric_name, metric.reduce_func) == (3, "euclidean", torch.max)
    assert NDCG().k == 10
