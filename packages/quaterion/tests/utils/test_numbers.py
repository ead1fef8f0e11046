from decimal import Decimal

import numpy as np
import pytest
import torch

from quaterion.utils.numbers import is_number, is_whole_number


@pytest.mark.parametrize("value", [3, -1, np.int64(3), np.uint8(3)])
def test_ints_are_numbers_and_whole(value: object) -> None:
    assert is_whole_number(value)
    assert is_number(value)


@pytest.mark.parametrize("value", [3.0, float("nan"), np.float32(3)])
def test_floats_are_numbers_and_not_whole(value: object) -> None:
    assert is_number(value)
    assert not is_whole_number(value)


@pytest.mark.parametrize("value", [True, np.bool_(True), "3", None, Decimal(3), torch.tensor(3), [3]])
def test_nothing_else_is_a_number(value: object) -> None:
    assert not is_number(value)
    assert not is_whole_number(value)
