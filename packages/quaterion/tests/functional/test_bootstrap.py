import math

import pytest
import torch

from quaterion.functional.bootstrap import bootstrap_mean, bootstrap_statistic, resampled


def test_the_interval_of_a_large_sample_is_that_of_the_normal_distribution():
    values = torch.rand(4000, generator=torch.Generator().manual_seed(0))
    value, low, high = bootstrap_mean(values, resamples=4000)
    half = 1.96 * values.double().std().item() / math.sqrt(4000)
    assert value == pytest.approx(values.double().mean().item(), abs=1e-12)
    assert low == pytest.approx(value - half, abs=0.1 * half)
    assert high == pytest.approx(value + half, abs=0.1 * half)


def test_the_interval_covers_the_true_mean_as_often_as_it_says():
    generator = torch.Generator().manual_seed(1)
    covered = 0
    for trial in range(200):
        _, low, high = bootstrap_mean((torch.rand(100, generator=generator) < 0.3).float(), resamples=400, seed=trial)
        covered += low <= 0.3 <= high
    # Binomial(200, 0.95) lies in 180..199 but for one case in a hundred.
    assert 180 <= covered <= 199


def test_more_confidence_is_a_wider_interval():
    values = torch.rand(200, generator=torch.Generator().manual_seed(2))
    narrow, wide = bootstrap_mean(values, confidence=0.5), bootstrap_mean(values, confidence=0.99)
    assert wide.low < narrow.low < narrow.value < narrow.high < wide.high


def test_perfect_values_have_an_interval_of_no_width():
    assert bootstrap_mean(torch.ones(7)) == (1.0, 1.0, 1.0)


def test_a_seed_decides_the_draw():
    values = torch.rand(50, generator=torch.Generator().manual_seed(3))
    assert bootstrap_mean(values, seed=4) == bootstrap_mean(values, seed=4)
    assert bootstrap_mean(values, seed=4) != bootstrap_mean(values, seed=5)


def test_the_global_random_state_is_left_alone():
    before = torch.random.get_rng_state()
    bootstrap_mean(torch.rand(5, generator=torch.Generator()))
    assert torch.equal(torch.random.get_rng_state(), before)


def test_the_bound_on_memory_changes_nothing():
    values = torch.rand(30, generator=torch.Generator().manual_seed(6))
    assert bootstrap_mean(values, max_entries=100) == bootstrap_mean(values)


def test_queries_left_out_take_no_part():
    assert bootstrap_mean(torch.tensor([1.0, torch.nan, 0.0])) == bootstrap_mean(torch.tensor([1.0, 0.0]))


@pytest.mark.parametrize(
    ("values", "options", "message"),
    [
        (torch.empty(0), {}, "no value to take a mean of"),
        (torch.tensor([torch.nan]), {}, "at least one query with something relevant"),
        (torch.ones(2, 2), {}, r"shape \(2, 2\); expected one value for each query"),
        (torch.ones(2), {"confidence": 95}, "confidence=95; expected a probability"),
        (torch.ones(2), {"resamples": 0}, "resamples=0; expected 1 or more"),
    ],
)
def test_arguments_out_of_range_are_refused(values, options, message):
    with pytest.raises(ValueError, match=message):
        bootstrap_mean(values, **options)


def nothing(counts):
    return torch.zeros(len(counts))


def test_statistics_see_the_same_samples_however_these_are_cut_and_each_as_large_as_the_set():
    statistics = [lambda counts: counts[:, 0], lambda counts: counts[:, 1:].sum(dim=1), lambda counts: counts.amax(1)]
    whole = resampled(statistics, 7, resamples=50, seed=3)
    assert whole.shape == (3, 50)
    assert torch.equal(whole[0] + whole[1], torch.full((50,), 7.0, dtype=torch.float64))
    for bound in (1, 14, 100):
        assert torch.equal(resampled(statistics, 7, resamples=50, seed=3, max_entries=bound), whole)


def test_memory_is_that_of_a_block():
    heights = []
    resampled([lambda counts: heights.append(len(counts)) or nothing(counts)], 10, resamples=25, max_entries=100)
    assert heights == [10, 10, 5]


def test_a_statistic_that_is_a_mean_has_the_interval_of_a_mean():
    values = torch.rand(50, dtype=torch.float64, generator=torch.Generator().manual_seed(8))
    general = bootstrap_statistic(
        lambda counts: counts.double() @ values / 50, 50, confidence=0.9, resamples=300, seed=2
    )
    # Both draw row by row from one generator, so that they draw the same samples.
    assert general == pytest.approx(bootstrap_mean(values, confidence=0.9, resamples=300, seed=2), abs=1e-12)


def test_samples_without_a_value_are_left_out():
    def share_of_the_first(counts):
        return (counts[:, 0] / 2).masked_fill(counts[:, 0] == 2, torch.nan)

    value, low, high = bootstrap_statistic(share_of_the_first, 2, resamples=200)
    assert (value, low, high) == (0.5, 0.0, 0.5)  # of two rows the first is drawn twice, once or not at all


@pytest.mark.parametrize(
    ("statistic", "count", "options", "message"),
    [
        (nothing, 0, {}, "no row to draw"),
        (lambda counts: counts[:, 0] * torch.nan, 3, {}, "no value over all rows, or over none of 2000 samples"),
        (lambda counts: nothing(counts).where(counts.amax(dim=1) > 1, torch.nan), 3, {}, "no value over all rows"),
        (lambda counts: nothing(counts).where(counts.amax(dim=1) == 1, torch.nan), 99, {"resamples": 9}, "none of 9"),
        (nothing, 3, {"confidence": 1.0}, "confidence=1.0; expected a probability"),
        (nothing, 3, {"resamples": 0}, "resamples=0; expected 1 or more"),
    ],
)
def test_a_statistic_that_cannot_be_had_is_refused(statistic, count, options, message):
    with pytest.raises(ValueError, match=message):
        bootstrap_statistic(statistic, count, **options)
