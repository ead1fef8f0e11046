import math

import pytest
import torch

from quaterion.eval.scored.best_f1 import BestF1


def test_the_threshold_of_the_last_value_is_kept():
    metric = BestF1()
    assert math.isnan(metric.threshold)
    # From 0° the partners are at 10°, 20°, 30° and 60°; they match but for the second. Taking the first three gives
    # precision 2/3 and recall 2/3, taking all gives 3/4 and 1: F1 = 6/7.
    angles = torch.deg2rad(torch.tensor([0.0, 10, 20, 30, 60]))
    points = torch.stack([angles.cos(), angles.sin()], dim=1)
    pairs = torch.tensor([[0, 1], [0, 2], [0, 3], [0, 4]])
    assert metric.compute(points, torch.tensor([1.0, 0.0, 1.0, 1.0]), pairs).item() == pytest.approx(6 / 7)
    assert metric.threshold == pytest.approx(0.5, abs=1e-6)
    metric.compute(points, torch.tensor([1.0, 0.0, 0.0, 0.0]), pairs)
    assert metric.threshold == pytest.approx(math.cos(math.radians(10)), abs=1e-6)
