"""Circle loss: each similarity is weighted by how far it is from where it should be."""

from torch import Tensor
from torch.nn import functional as F

from quaterion.functional.comparison import compare
from quaterion.functional.reduce import masked_logsumexp, masked_sum, ratio, zero_loss
from quaterion.functional.row_blocks import sum_over_rows

__all__ = ["circle_loss"]


def circle_loss(
    embeddings: Tensor,
    groups: Tensor,
    *,
    margin: float = 0.25,
    scale_factor: float = 256.0,
    metric: str = "cosine",
    reference: Tensor | None = None,
    reference_groups: Tensor | None = None,
) -> Tensor:
    """Compute the mean of softplus(LSE_n γ·α_n·(s_n − m) + LSE_p −γ·α_p·(s_p − (1 − m))) over valid anchors.

    LSE is log Σ exp over the anchor's negatives n and positives p; α_p = [1 + m − s_p]₊ and α_n = [s_n + m]₊
    are weights and carry no gradient. Valid anchors have a positive and a negative.

    Paper: Sun et al., Circle Loss, https://arxiv.org/abs/2002.10857

    Args:
        embeddings: `[B, D]`.
        groups: `[B]`.
        margin: m, in units of the similarity.
        scale_factor: γ.
        metric: One of `quaterion.functional.similarity.METRICS`.
        reference: `[M, D]` candidates instead of the batch itself.
        reference_groups: `[M]` groups of the candidates.

    Returns:
        A scalar.

    Example:
        >>> import torch
        >>> embeddings = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [0.0, 1.0]])
        >>> circle_loss(embeddings, torch.tensor([0, 0, 1, 1]), margin=0.25, scale_factor=8.0)  # log(1 + 2/e)
        tensor(0.5514)
    """
    comparison = compare(embeddings, groups, reference, reference_groups, metric=metric)
    if comparison.empty:
        return zero_loss(embeddings)

    def part(start: int, stop: int) -> tuple[Tensor, Tensor]:
        similarities, masks = comparison.similarities(start, stop), comparison.masks(start, stop)
        fixed = similarities.detach()
        towards = -scale_factor * F.relu(1.0 + margin - fixed) * (similarities - (1.0 - margin))
        away = scale_factor * F.relu(fixed + margin) * (similarities - margin)
        exponent = masked_logsumexp(away, masks.negative) + masked_logsumexp(towards, masks.positive)
        valid = masks.positive.any(dim=1) & masks.negative.any(dim=1)
        return masked_sum(F.softplus(exponent), valid), valid.sum()

    total, count = sum_over_rows(part, *comparison.shape)
    return ratio(total, count)
