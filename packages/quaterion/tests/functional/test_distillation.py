from collections.abc import Callable

import pytest
import torch

from quaterion.functional.distillation import distillation_loss


def test_the_diagonal_does_not_count() -> None:
    # Student similarities off the diagonal: 0; teacher's: 0.6. Counting the diagonal would halve it.
    teacher = torch.tensor([[1.0, 0.0], [0.6, 0.8]])
    assert distillation_loss(torch.eye(2), teacher).item() == pytest.approx(0.36)


def test_the_teacher_gets_no_gradient() -> None:
    student, teacher = torch.randn(4, 3, requires_grad=True), torch.randn(4, 5, requires_grad=True)
    distillation_loss(student, teacher).backward()
    assert student.grad is not None
    assert teacher.grad is None


def test_blocks_of_rows_change_nothing(compare_blocks: Callable[..., None]) -> None:
    teacher = torch.randn(20, 3).double()
    compare_blocks(lambda x: distillation_loss(x, teacher), torch.randn(20, 5))
