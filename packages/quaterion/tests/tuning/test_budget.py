"""Times as users write them."""

import math

import pytest

from quaterion.tuning.budget import seconds_of


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("2m", 120), ("0.5h", 1800), (5, 5), ("7", 7), (" 3 min ", 180)]
)
def test_times(text, seconds):
    assert math.isclose(seconds_of(text), seconds)


@pytest.mark.parametrize("text", ["", "0s", "-3", "soon", "3d", "nan"])
def test_no_times(text):
    with pytest.raises(ValueError, match="expected a time above 0"):
        seconds_of(text)
