"""FastAP: average precision, made differentiable by sorting distances into soft bins."""

from typing import Any

import torch
from torch import Tensor

from quaterion.functional.comparison import compare
from quaterion.functional.reduce import masked_sum, ratio, zero_loss
from quaterion.functional.row_blocks import sum_over_rows

__all__ = ["fast_ap_loss"]

_LARGEST_SQUARED_DISTANCE = 4.0  # of unit vectors


def fast_ap_loss(
    embeddings: Tensor,
    groups: Tensor,
    *,
    num_bins: int = 10,
    reference: Tensor | None = None,
    reference_groups: Tensor | None = None,
) -> Tensor:
    """Compute 1 − the mean over valid anchors of AP = 1/|P| Σ_b h⁺_b·H⁺_b/H_b.

    Squared distances of unit vectors fall into triangular bins centred at `num_bins + 1` points on [0, 4]:
    h⁺_b is how much of the positives is in bin b, H⁺_b and H_b how much of the positives and of all
    candidates is in the bins 0 … b. Valid anchors have a positive.

    Paper: Cakir et al., Deep Metric Learning to Rank, CVPR 2019

    Args:
        embeddings: `[B, D]`.
        groups: `[B]`.
        num_bins: Number of intervals on [0, 4].
        reference: `[M, D]` candidates instead of the batch itself.
        reference_groups: `[M]` groups of the candidates.

    Returns:
        A scalar.

    Example:
        >>> embeddings = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [0.0, 1.0]])
        >>> fast_ap_loss(embeddings, torch.tensor([0, 0, 1, 1]))
        tensor(0.)
    """
    comparison = compare(embeddings, groups, reference, reference_groups)
    if comparison.empty:
        return zero_loss(embeddings)

    def part(start: int, stop: int) -> tuple[Tensor, Tensor]:
        squared = 2.0 - 2.0 * comparison.similarities(start, stop)
        masks = comparison.masks(start, stop)
        positions = squared * (num_bins / _LARGEST_SQUARED_DISTANCE)  # in bins
        of_positives = _soft_counts(positions, masks.positive, num_bins)  # [n, num_bins + 1]
        of_negatives = _soft_counts(positions, masks.negative, num_bins)
        of_all = of_positives + of_negatives
        empty = of_all <= 0
        precision = (of_positives / of_all.masked_fill(empty, 1.0)).masked_fill(empty, 0.0)
        in_bins = of_positives.diff(dim=1, prepend=torch.zeros_like(of_positives[:, :1]))
        average_precision = ratio((in_bins * precision).sum(dim=1), masks.positive.sum(dim=1))
        valid = masks.positive.any(dim=1)
        return masked_sum(1.0 - average_precision, valid), valid.sum()

    total, count = sum_over_rows(part, *comparison.shape)
    return ratio(total, count)


def _soft_counts(positions: Tensor, mask: Tensor, num_bins: int) -> Tensor:
    counts: Tensor = _SoftCounts.apply(positions, mask, num_bins)  # type: ignore[no-untyped-call]
    return counts


class _SoftCounts(torch.autograd.Function):
    """Count, for each row, how much lies in the triangular bins 0 … b; `[n, num_bins + 1]` from `[n, m]`.

    The hats of neighbouring bins add up to 1, so an element at position u, in bins, counts [b + 1 − u]
    clipped to [0, 1], and has a slope in one bin only: the backward pass looks that one up instead of keeping
    a matrix per bin.
    """

    @staticmethod
    def forward(ctx: Any, positions: Tensor, mask: Tensor, num_bins: int) -> Tensor:
        ctx.save_for_backward(positions, mask)
        ctx.num_bins = num_bins
        # What does not count lies beyond the last bin.
        counted = positions.masked_fill(~mask, num_bins + 1.0)
        return torch.stack([(b + 1 - counted).clamp(0.0, 1.0).sum(dim=1) for b in range(num_bins + 1)], dim=1)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        positions, mask = ctx.saved_tensors
        bins = positions.clamp(0, ctx.num_bins).long()
        return -gradients[0].gather(1, bins).masked_fill(~mask | (positions < 0), 0.0), None, None
