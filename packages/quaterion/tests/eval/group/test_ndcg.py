import math

import pytest
import torch
from sklearn.metrics import ndcg_score

from quaterion.eval.group.ndcg import NDCG


def test_a_hit_counts_the_less_the_later_it_comes():
    # From 0° the others are at 10°, 20°, 30° and 40°; relevant are the second and the third.
    angles = torch.deg2rad(torch.tensor([0.0, 10, 20, 30, 40]))
    points = torch.stack([angles.cos(), angles.sin()], dim=1)
    groups = torch.tensor([0, 1, 0, 0, 2])
    score = NDCG(3, reduce_func=None).compute(points, groups)[0].item()
    assert score == pytest.approx((1 / math.log2(3) + 1 / math.log2(4)) / (1 / math.log2(2) + 1 / math.log2(3)))


@pytest.mark.parametrize("k", [1, 10, 49])
def test_it_agrees_with_scikit_learn_on_a_whole_set(k):
    generator = torch.Generator().manual_seed(0)
    points, groups = torch.randn(50, 3, generator=generator), torch.randint(5, (50,), generator=generator)
    similarity = torch.nn.functional.normalize(points) @ torch.nn.functional.normalize(points).T
    others = ~torch.eye(50, dtype=torch.bool)
    relevant = (groups.unsqueeze(1) == groups)[others].view(50, 49)
    expected = ndcg_score(relevant.numpy(), similarity[others].view(50, 49).numpy(), k=k)
    assert NDCG(k).compute(points, groups).item() == pytest.approx(expected, abs=1e-6)
