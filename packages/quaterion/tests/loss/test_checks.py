import math
from typing import Any

import numpy as np
import pytest
import torch

from quaterion.distances import Distance
from quaterion.loss import TripletLoss
from quaterion.loss.checks import (
    check_choice,
    check_count,
    check_distance_can_be_squared,
    check_finite,
    check_is_loss,
    check_non_negative,
    check_positive,
    check_scores,
)


def test_good_values_pass() -> None:
    assert check_choice("mining", "a", ("a", "b")) == "a"
    assert check_positive("scale", 0.5) == 0.5
    assert check_non_negative("margin", 0) == 0
    assert check_count("bins", 3) == 3
    assert check_finite("base", -1) == -1
    assert check_is_loss("loss", loss := TripletLoss()) is loss
    check_distance_can_be_squared("L", Distance.EUCLIDEAN)
    check_scores("L", torch.tensor([0.0, 1.0]), 0.0, 1.0)


def test_numbers_of_numpy_become_those_of_python() -> None:
    assert type(check_positive("scale", np.float32(0.5))) is float
    assert type(check_non_negative("margin", np.float64(0))) is float
    assert type(check_finite("base", np.int64(2))) is float
    assert type(check_count("num_groups", np.int64(5))) is int


@pytest.mark.parametrize("value", ["0.5", None, True, math.nan, math.inf])
def test_what_is_no_finite_number_is_refused_with_the_name(value: Any) -> None:
    with pytest.raises(ValueError, match=rf"base must be a finite number, got {value!r}"):
        check_finite("base", value)
    with pytest.raises(ValueError, match=rf"scale must be a finite number greater than 0, got {value!r}"):
        check_positive("scale", value)
    with pytest.raises(ValueError, match=rf"margin must be a finite number of at least 0, got {value!r}"):
        check_non_negative("margin", value)


@pytest.mark.parametrize(("value", "received"), [(TripletLoss, "the class TripletLoss"), ("triplet", "str")])
def test_what_is_no_loss_is_refused(value: object, received: str) -> None:
    with pytest.raises(TypeError, match=rf"the part must be a loss object, such as TripletLoss\(\), got {received}"):
        check_is_loss("the part", value)


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
