import math

import pytest
import torch

from quaterion.distances import Distance
from quaterion.loss.checks import (
    check_choice,
    check_count,
    check_distance_can_be_squared,
    check_non_negative,
    check_positive,
    check_scores,
)


def test_good_values_pass() -> None:
    assert check_choice("mining", "a", ("a", "b")) == "a"
    assert check_positive("scale", 0.5) == 0.5
    assert check_non_negative("margin", 0) == 0
    assert check_count("bins", 3) == 3
    check_distance_can_be_squared("L", Distance.EUCLIDEAN)
    check_scores("L", torch.tensor([0.0, 1.0]), 0.0, 1.0)


@pytest.mark.parametrize("value", [0, -1, math.nan, math.inf])
def test_numbers_that_are_not_positive_are_refused(value: float) -> None:
    with pytest.raises(ValueError, match="scale must be a finite number greater than 0, got"):
        check_positive("scale", value)


@pytest.mark.parametrize("value", [0, 1.0, True, "3"])
def test_what_is_no_count_is_refused(value: int) -> None:
    with pytest.raises(ValueError, match="bins must be a whole number of at least 1, got"):
        check_count("bins", value)


def test_scores_that_are_no_numbers_are_refused() -> None:
    with pytest.raises(
        ValueError, match=r"L needs scores in \[0, 1\], but 1 of 2 pairs have another score, the first nan"
    ):
        check_scores("L", torch.tensor([1.0, torch.nan]), 0.0, 1.0)
