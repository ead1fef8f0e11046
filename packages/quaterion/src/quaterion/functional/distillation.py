"""Distillation: the student's similarities follow a teacher's."""

from torch import Tensor

from quaterion.functional.reduce import zero_loss
from quaterion.functional.row_blocks import sum_over_rows
from quaterion.functional.similarity import prepare, prepared_similarity_matrix

__all__ = ["distillation_loss"]


def distillation_loss(embeddings: Tensor, teacher: Tensor, *, metric: str = "cosine") -> Tensor:
    """Compute the mean squared difference of the batch's similarity matrix to a teacher's, the diagonal left out.

    Args:
        embeddings: `[B, D]`.
        teacher: `[B, D_teacher]` the same rows as the teacher sees them; they get no gradient.
        metric: One of `quaterion.functional.similarity.METRICS`, for both.

    Returns:
        A scalar.

    Example:
        >>> import torch
        >>> distillation_loss(torch.eye(2), torch.ones(2, 3))
        tensor(1.0000)
    """
    rows = len(embeddings)
    if rows < 2:
        return zero_loss(embeddings)
    student, fixed = prepare(embeddings, metric), prepare(teacher.detach(), metric)

    def part(start: int, stop: int) -> tuple[Tensor]:
        difference = prepared_similarity_matrix(student[start:stop], student, metric)
        difference = difference - prepared_similarity_matrix(fixed[start:stop], fixed, metric)
        return (difference.square().sum() - difference.diagonal(start).square().sum(),)

    (total,) = sum_over_rows(part, rows, rows)
    return total / (rows * (rows - 1))
