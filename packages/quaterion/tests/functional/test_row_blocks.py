import pytest
import torch
from torch import Tensor

from quaterion.functional import row_blocks as module
from quaterion.functional.row_blocks import row_blocks, sum_over_rows


def test_blocks_cover_every_row_once() -> None:
    for rows, columns, elements in ((7, 3, 6), (1, 100, 5), (4, 0, 2), (5, 5, 1000)):
        covered = [row for start, stop in row_blocks(rows, columns, elements) for row in range(start, stop)]
        assert covered == list(range(rows))


def test_no_block_exceeds_its_elements_unless_one_row_does() -> None:
    assert all((stop - start) * 10 <= 25 for start, stop in row_blocks(100, 10, 25))
    assert list(row_blocks(2, 10, 5)) == [(0, 1), (1, 2)]


def test_only_large_matrices_are_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "WHOLE_MATRIX", 40)
    monkeypatch.setattr(module, "GRADIENT_BLOCK", 20)
    assert module.gradient_blocks(4, 10) == [(0, 4)]
    assert module.gradient_blocks(5, 10) == [(0, 2), (2, 4), (4, 5)]


def test_sums_and_gradients_do_not_depend_on_the_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    x = torch.randn(6, 4).double().requires_grad_()

    def part(start: int, stop: int) -> tuple[Tensor, Tensor]:
        product = x[start:stop] @ x.T
        return product.exp().sum(), (product > 0).sum()

    whole = sum_over_rows(part, 6, 6)
    (expected,) = torch.autograd.grad(whole[0], x)
    monkeypatch.setattr(module, "WHOLE_MATRIX", 12)
    monkeypatch.setattr(module, "GRADIENT_BLOCK", 12)
    blocks = sum_over_rows(part, 6, 6)
    (got,) = torch.autograd.grad(blocks[0], x)
    assert torch.allclose(blocks[0], whole[0])
    assert blocks[1] == whole[1]
    assert torch.allclose(got, expected)


def test_several_blocks_are_computed_again_for_the_backward_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []
    x = torch.randn(4, 2, requires_grad=True)

    def part(start: int, stop: int) -> tuple[Tensor]:
        calls.append(start)
        return ((x[start:stop] @ x.T).exp().sum(),)

    monkeypatch.setattr(module, "WHOLE_MATRIX", 8)
    monkeypatch.setattr(module, "GRADIENT_BLOCK", 8)
    (total,) = sum_over_rows(part, 4, 4)
    assert calls == [0, 2]
    total.backward()
    assert sorted(calls) == [0, 0, 2, 2]


def test_without_gradients_nothing_is_computed_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []

    def part(start: int, stop: int) -> tuple[Tensor]:
        calls.append(start)
        return (torch.ones(stop - start).sum(),)

    monkeypatch.setattr(module, "WHOLE_MATRIX", 4)
    monkeypatch.setattr(module, "GRADIENT_BLOCK", 4)
    with torch.no_grad():
        (total,) = sum_over_rows(part, 4, 4)
    assert total.item() == 4
    assert calls == [0, 1, 2, 3]
