import math

import pytest
import torch
from scipy import stats

from quaterion.functional.correlation import average_ranks, pearson_correlation, spearman_correlation


def rows(levels, seed=0, count=60):
    """Two rows that agree somewhat: of few levels they are full of ties, and half of the numbers are negative."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randint(-levels, levels + 1, (count,), generator=generator).float()
    return x, x + torch.randint(-levels, levels + 1, (count,), generator=generator).float()


@pytest.mark.parametrize("levels", [1, 3, 10_000])
def test_ranks_are_those_of_scipy_ties_included(levels):
    x, _ = rows(levels)
    assert average_ranks(x).tolist() == stats.rankdata(x.numpy()).tolist()


@pytest.mark.parametrize("levels", [1, 3, 10_000])
@pytest.mark.parametrize("seed", range(3))
def test_both_agree_with_scipy_ties_included(levels, seed):
    x, y = rows(levels, seed)
    x64, y64 = x.double().numpy(), y.double().numpy()
    assert pearson_correlation(x, y).item() == pytest.approx(stats.pearsonr(x64, y64).statistic, abs=1e-12)
    assert spearman_correlation(x, y).item() == pytest.approx(stats.spearmanr(x64, y64).statistic, abs=1e-12)


@pytest.mark.parametrize("correlation", [pearson_correlation, spearman_correlation])
@pytest.mark.parametrize("levels", [1, 10_000])
def test_samples_correlate_as_their_numbers_written_out(correlation, levels):
    x, y = rows(levels, seed=7, count=12)
    counts = torch.randint(0, 3, (60, 12), generator=torch.Generator().manual_seed(8)).float()
    counts[0] = (x == x[0]).float()  # all equal: no value
    counts[1] = (y == y[0]).float()
    counts[2] = 1.0
    found = correlation(x, y, counts)
    written_out = [correlation(*(row.repeat_interleave(times.long()) for row in (x, y))) for times in counts]
    assert torch.equal(found.isnan(), torch.stack(written_out).isnan())
    assert torch.allclose(found, torch.stack(written_out), rtol=0, atol=1e-12, equal_nan=True)
    assert found[:2].isnan().all() and torch.allclose(found[2], correlation(x, y), rtol=0, atol=1e-15)
    assert correlation(x, 2 * x, counts)[2:].nan_to_num(1.0).eq(1.0).all()
    assert correlation(torch.empty(0), torch.empty(0), torch.empty(3, 0)).isnan().tolist() == [True] * 3


def test_only_the_order_counts_for_spearman_and_only_the_line_for_pearson():
    x = torch.tensor([-3.0, -1.0, 0.0, 2.0])
    assert spearman_correlation(x, x**3).item() == 1.0
    assert pearson_correlation(x, x**3).item() < 0.99
    assert pearson_correlation(x, 5 - 2 * x).item() == pytest.approx(-1.0, abs=1e-15)


def test_small_differences_beside_large_values_are_kept():
    x = torch.tensor([1e6, 1e6 + 1, 1e6 + 2, 1e6 + 3])
    y = torch.tensor([0.0, 1.0, 3.0, 2.0])
    assert pearson_correlation(x, y).item() == pytest.approx(0.8, abs=1e-12)  # covariance 4, both squares 5


@pytest.mark.parametrize("correlation", [pearson_correlation, spearman_correlation])
@pytest.mark.parametrize(("x", "y"), [([0.1] * 3, [1.0, 2, 3]), ([1.0, 2, 3], [0.1] * 3), ([1.0], [1.0]), ([], [])])
def test_equal_numbers_have_no_correlation(correlation, x, y):
    # In float64, where the mean of three times 0.1 is not 0.1.
    x, y = (torch.tensor(values, dtype=torch.float64) for values in (x, y))
    assert math.isnan(correlation(x, y).item())


@pytest.mark.parametrize("correlation", [pearson_correlation, spearman_correlation])
@pytest.mark.parametrize("y", [torch.ones(2), torch.ones(3, 1)])
def test_shapes_that_differ_are_refused(correlation, y):
    with pytest.raises(ValueError, match=r"\(3,\) and .* expected two rows of numbers of one length"):
        correlation(torch.ones(3), y)
