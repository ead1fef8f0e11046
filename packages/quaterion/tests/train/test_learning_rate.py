"""The factor of the learning rate: its shape, and what is refused."""

import math

import numpy as np
import pytest

from quaterion.train.learning_rate import learning_rate_factor


@pytest.mark.parametrize("warmup", [2, np.int64(2)])
def test_the_rate_rises_and_then_stays_or_decays(warmup):
    constant = learning_rate_factor(warmup, "constant", total_steps=math.inf)
    assert [constant(step) for step in range(4)] == [0.5, 1.0, 1.0, 1.0]
    cosine = learning_rate_factor(warmup, "cosine", total_steps=6)
    expected = [0.5 * (1 + math.cos(math.pi * step / 4)) for step in range(5)]
    assert [cosine(step) for step in range(2, 7)] == pytest.approx(expected)


@pytest.mark.parametrize("warmup", [0.1, 10.0, -1, True, "10"])
def test_a_warm_up_that_is_no_number_of_steps_is_refused(warmup):
    # 0.1 is no share of the training: taken for one, it would multiply the first rate by 10.
    with pytest.raises(ValueError, match=rf"warmup_steps={warmup!r}; expected a whole number of steps, 0 or more"):
        learning_rate_factor(warmup, "constant", total_steps=10)


def test_a_training_that_ends_before_the_warm_up_is_told():
    with pytest.warns(UserWarning, match="warmup_steps=10, but the training has 10 steps.* Choose fewer"):
        learning_rate_factor(10, "cosine", total_steps=10)
    learning_rate_factor(9, "cosine", total_steps=10)


def test_an_unknown_schedule_and_a_decay_without_an_end_are_refused():
    with pytest.raises(ValueError, match="lr_schedule='linear'; expected 'constant' or 'cosine'"):
        learning_rate_factor(0, "linear", total_steps=10)
    with pytest.raises(ValueError, match="lr_schedule='cosine' needs an end"):
        learning_rate_factor(0, "cosine", total_steps=math.inf)
