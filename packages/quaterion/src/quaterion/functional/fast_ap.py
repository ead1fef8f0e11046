"""FastAP: average precision, made differentiable by sorting distances into soft bins."""

import torch
from torch import Tensor

from quaterion.functional.comparison import compare
from quaterion.functional.masks import GroupMasks
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
        of_positives, of_negatives = _soft_counts(positions, masks, num_bins)  # [n, num_bins + 1]
        of_all = of_positives + of_negatives
        empty = of_all <= 0
        precision = (of_positives / of_all.masked_fill(empty, 1.0)).masked_fill(empty, 0.0)
        in_bins = of_positives.diff(dim=1, prepend=torch.zeros_like(of_positives[:, :1]))
        average_precision = ratio((in_bins * precision).sum(dim=1), masks.positive.sum(dim=1))
        valid = masks.positive.any(dim=1)
        return masked_sum(1.0 - average_precision, valid), valid.sum()

    total, count = sum_over_rows(part, *comparison.shape)
    return ratio(total, count)


def _soft_counts(positions: Tensor, masks: GroupMasks, num_bins: int) -> tuple[Tensor, Tensor]:
    """Count how much of the positives and of the negatives lies in the triangular bins 0 … b; `[n, num_bins + 1]` each.

    The hats of neighbouring bins add up to 1, so an element at position u, in bins, counts fully where b ≥ ⌊u⌋ + 1, and
    ⌊u⌋ + 1 − u where b = ⌊u⌋: each element adds to one entry, with and without gradient, instead of to every bin.
    """
    bins = positions.detach().floor().clamp(0, num_bins)
    width = num_bins + 1
    # Positives take the first columns, negatives the next, and the last takes what does not count.
    slots = torch.where(masks.positive, bins.long(), bins.long() + width)
    slots = slots.masked_fill(~(masks.positive | masks.negative), 2 * width)
    zeros = positions.new_zeros(positions.shape[0], 2 * width + 1)
    counts = zeros.scatter_add(1, slots, torch.ones_like(positions))
    partial = zeros.scatter_add(1, slots, bins + 1.0 - positions)
    positive, negative = slice(0, width), slice(width, 2 * width)
    below_positive = counts[:, positive].cumsum(1) - counts[:, positive]
    below_negative = counts[:, negative].cumsum(1) - counts[:, negative]
    return below_positive + partial[:, positive], below_negative + partial[:, negative]
