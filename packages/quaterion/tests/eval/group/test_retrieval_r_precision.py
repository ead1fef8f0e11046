import pytest
import torch

from quaterion.distances import Distance
from quaterion.eval.group.retrieval_r_precision import RetrievalRPrecision


def test_it_is_the_share_of_the_first_r_and_not_the_query_itself():
    # From 0° the others are at 10°, 20°, 30° and 40°; three are relevant, of which two are among the first three.
    angles = torch.deg2rad(torch.tensor([0.0, 10, 20, 30, 40]))
    points = torch.stack([angles.cos(), angles.sin()], dim=1)
    groups = torch.tensor([0, 0, 1, 0, 0])
    scores = RetrievalRPrecision(reduce_func=None).compute(points, groups)
    assert scores[0].item() == pytest.approx(2 / 3)
    assert scores[2].isnan()


def test_the_distance_goes_by_position_as_documented():
    assert RetrievalRPrecision(Distance.DOT_PRODUCT).distance_metric_name is Distance.DOT_PRODUCT
