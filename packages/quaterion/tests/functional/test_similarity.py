import pytest
import torch
from torch import Tensor
from torch.autograd.gradcheck import gradcheck

from quaterion.functional.similarity import (
    METRICS,
    _manhattan_matrix,
    closeness_matrix,
    distance,
    distance_matrix,
    matrix_product,
    normalize,
    prepare,
    similarity_matrix,
)


def test_an_unknown_metric_lists_the_known_ones() -> None:
    with pytest.raises(ValueError, match="unknown metric 'l2': expected one of cosine, dot_product"):
        distance_matrix(torch.zeros(1, 2), metric="l2")


def test_a_zero_row_has_similarity_zero_and_gradient_zero() -> None:
    x = torch.tensor([[0.0, 0.0], [3e-9, 4e-9], [1.0, 1.0]], requires_grad=True)
    similarities = similarity_matrix(x)
    assert similarities[:2].abs().sum() == 0
    similarities.sum().backward()
    assert x.grad is not None
    assert x.grad.isfinite().all()
    assert not x.grad[:2].any()


def test_tiny_rows_above_the_threshold_are_normalized() -> None:
    assert normalize(torch.tensor([[3e-8, 4e-8]])).norm().item() == pytest.approx(1.0)


@pytest.mark.parametrize("metric", METRICS)
def test_gradients_of_the_matrix_are_its_derivatives(metric: str) -> None:
    x, y = torch.randn(3, 4).double().requires_grad_(), torch.randn(5, 4).double().requires_grad_()
    assert gradcheck(lambda a, b: distance_matrix(a, b, metric), (x, y))
    assert gradcheck(lambda a, b: similarity_matrix(a, b, metric), (x, y))


@pytest.mark.parametrize("metric", ["euclidean", "manhattan"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_equal_rows_have_distance_zero_and_gradient_zero(metric: str, dtype: torch.dtype) -> None:
    x = (torch.randn(1, 300, dtype=dtype) + 5).repeat(4, 1).requires_grad_()
    distances = distance_matrix(x, metric=metric)
    assert not distances.any()
    (distances.sum() + distance(x, x, metric).sum()).backward()
    assert x.grad is not None
    assert not x.grad.any()


def test_euclidean_distances_survive_a_large_common_part() -> None:
    # Without centring, ‖x‖² of about 1e8 would swallow squared distances of about 10 in float32.
    x = torch.randn(20, 16, generator=torch.Generator().manual_seed(0)).double() + 2500
    exact = torch.cdist(x, x, compute_mode="donot_use_mm_for_euclid_dist")
    got = distance_matrix(x.float(), metric="euclidean").double()
    # float32 steps at 2500 are 2.4e-4, the input itself is no better.
    assert (got - exact).abs().max() < 2e-3


@pytest.mark.parametrize("metric", METRICS)
def test_closeness_orders_each_row_as_the_similarity_does(metric: str) -> None:
    x, y = torch.randn(6, 5).double() + 1, torch.randn(9, 5).double() + 1
    closeness = closeness_matrix(prepare(x, metric), prepare(y, metric), metric)
    assert torch.equal(closeness.argsort(dim=1), similarity_matrix(x, y, metric).argsort(dim=1))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_autocast_leaves_products_in_float32(dtype: torch.dtype) -> None:
    x = torch.randn(5, 64)
    with torch.autocast("cpu", dtype=dtype):
        product = matrix_product(x, x)
    assert product.dtype == torch.float32
    assert torch.equal(product, x @ x.T)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (torch.float16, torch.float32),
        (torch.bfloat16, torch.float32),
        (torch.float32, torch.float32),
        (torch.float64, torch.float64),
        (torch.int64, torch.float32),
    ],
)
def test_results_have_at_least_float32(metric: str, given: torch.dtype, expected: torch.dtype) -> None:
    x = torch.ones(2, 3).to(given)
    results: list[Tensor] = [distance(x, x, metric), distance_matrix(x, metric=metric)]
    assert {result.dtype for result in results} == {expected}


@pytest.mark.parametrize("buffer", [1, 60, None])
def test_manhattan_distances_do_not_depend_on_the_pieces(buffer: int | None) -> None:
    x, y = torch.randn(7, 4).double().requires_grad_(), torch.randn(5, 4).double().requires_grad_()
    got, expected = _manhattan_matrix(x, y, buffer), torch.cdist(x, y, p=1)
    assert torch.equal(got, expected)
    for mine, theirs in zip(
        torch.autograd.grad(got.square().sum(), (x, y)),
        torch.autograd.grad(expected.square().sum(), (x, y)),
        strict=True,
    ):
        assert torch.allclose(mine, theirs)


@pytest.mark.parametrize("metric", METRICS)
def test_no_rows_give_an_empty_matrix(metric: str) -> None:
    x, none = torch.ones(2, 3), torch.ones(0, 3)
    assert distance_matrix(x, none, metric).shape == (2, 0)
    assert distance_matrix(none, x, metric).shape == (0, 2)
