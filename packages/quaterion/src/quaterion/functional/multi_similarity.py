"""Multi-similarity loss: hard pairs are selected, then weighted softly."""

import torch
from torch import Tensor
from torch.nn import functional as F

from quaterion.functional.comparison import compare
from quaterion.functional.reduce import masked_logsumexp, zero_loss
from quaterion.functional.row_blocks import sum_over_rows

__all__ = ["multi_similarity_loss"]


def multi_similarity_loss(
    embeddings: Tensor,
    groups: Tensor,
    *,
    alpha: float = 2.0,
    beta: float = 50.0,
    base: float = 0.5,
    epsilon: float = 0.1,
    metric: str = "cosine",
    reference: Tensor | None = None,
    reference_groups: Tensor | None = None,
) -> Tensor:
    """Compute the mean over all B of 1/α·log(1 + Σ_p e^{−α(s_p − λ)}) + 1/β·log(1 + Σ_n e^{β(s_n − λ)}).

    The sums run over the mined pairs: positives with s_p < max_n s_n + ε, negatives with s_n > min_p s_p − ε.
    The choice carries no gradient, and anchors without mined pairs count with 0.

    Paper: Wang et al., Multi-Similarity Loss with General Pair Weighting, https://arxiv.org/abs/1904.06627

    Args:
        embeddings: `[B, D]`.
        groups: `[B]`.
        alpha: Weight of the positives, α.
        beta: Weight of the negatives, β.
        base: The similarity λ around which the weights change.
        epsilon: Slack of the mining, ε.
        metric: One of `quaterion.functional.similarity.METRICS`.
        reference: `[M, D]` candidates instead of the batch itself.
        reference_groups: `[M]` groups of the candidates.

    Returns:
        A scalar.
    """
    comparison = compare(embeddings, groups, reference, reference_groups, metric=metric)
    if comparison.empty:
        return zero_loss(embeddings)

    def part(start: int, stop: int) -> tuple[Tensor]:
        similarities, masks = comparison.similarities(start, stop), comparison.masks(start, stop)
        fixed = similarities.detach()
        nearest_negative = fixed.masked_fill(~masks.negative, -torch.inf).amax(dim=1, keepdim=True)
        farthest_positive = fixed.masked_fill(~masks.positive, torch.inf).amin(dim=1, keepdim=True)
        positive = masks.positive & (fixed < nearest_negative + epsilon)
        negative = masks.negative & (fixed > farthest_positive - epsilon)
        pulled = _log_one_plus_sum_exp(-alpha * (similarities - base), positive) / alpha
        pushed = _log_one_plus_sum_exp(beta * (similarities - base), negative) / beta
        return ((pulled + pushed).sum(),)

    (total,) = sum_over_rows(part, *comparison.shape)
    return total / comparison.shape[0]


def _log_one_plus_sum_exp(values: Tensor, mask: Tensor) -> Tensor:
    return F.softplus(masked_logsumexp(values, mask)).masked_fill(~mask.any(dim=1), 0.0)
