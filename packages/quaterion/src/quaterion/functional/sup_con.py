"""Supervised contrastive loss: NT-Xent with every object of the group as a positive."""

from torch import Tensor

from quaterion.functional.comparison import compare
from quaterion.functional.reduce import masked_logsumexp, masked_sum, ratio, zero_loss
from quaterion.functional.row_blocks import sum_over_rows

__all__ = ["sup_con_loss"]


def sup_con_loss(
    embeddings: Tensor,
    groups: Tensor,
    *,
    temperature: float = 0.1,
    metric: str = "cosine",
    reference: Tensor | None = None,
    reference_groups: Tensor | None = None,
) -> Tensor:
    """Compute −mean over valid anchors i of the mean over its positives p of log softmax_{j≠i}(s_ij / τ)_p.

    Valid anchors have a positive.

    Paper: Khosla et al., Supervised Contrastive Learning (the loss with the sum outside), arXiv 2004.11362

    Args:
        embeddings: `[B, D]`.
        groups: `[B]`.
        temperature: τ.
        metric: One of `quaterion.functional.similarity.METRICS`.
        reference: `[M, D]` candidates instead of the batch itself.
        reference_groups: `[M]` groups of the candidates.

    Returns:
        A scalar.

    Example:
        >>> import torch
        >>> embeddings = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
        >>> sup_con_loss(embeddings, torch.tensor([0, 0, 1]), temperature=1.0)  # log(1 + 1/e)
        tensor(0.3133)
    """
    comparison = compare(embeddings, groups, reference, reference_groups, metric=metric)
    if comparison.empty:
        return zero_loss(embeddings)

    def part(start: int, stop: int) -> tuple[Tensor, Tensor]:
        logits, masks = comparison.similarities(start, stop) / temperature, comparison.masks(start, stop)
        normalizers = masked_logsumexp(logits, masks.positive | masks.negative)
        positives = ratio(masked_sum(logits, masks.positive, dim=1), masks.positive.sum(dim=1))
        valid = masks.positive.any(dim=1)
        return masked_sum(normalizers - positives, valid), valid.sum()

    total, count = sum_over_rows(part, *comparison.shape)
    return ratio(total, count)
