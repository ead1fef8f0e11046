"""Triplet losses: an anchor should be closer to a positive than to a negative, by a margin."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from quaterion.functional.comparison import compare
from quaterion.functional.mining import hardest_distances
from quaterion.functional.reduce import masked_mean, ratio, zero_loss
from quaterion.functional.row_blocks import gradient_blocks, sum_over_rows

__all__ = ["all_triplet_loss", "hard_triplet_loss", "semi_hard_triplet_loss"]

_SMALLEST_SCALE = 1e-6


def hard_triplet_loss(
    embeddings: Tensor,
    groups: Tensor,
    *,
    margin: float = 0.5,
    metric: str = "cosine",
    soft: bool = False,
    relative: bool = False,
    reference: Tensor | None = None,
    reference_groups: Tensor | None = None,
) -> Tensor:
    """Compute the mean over anchors of [farthest positive − nearest negative + margin]₊.

    Anchors without a positive or without a negative are left out. The pairs are found without autograd and
    only their 2B distances are computed with it.

    Paper: Hermans et al., In Defense of the Triplet Loss, https://arxiv.org/abs/1703.07737

    Args:
        embeddings: `[B, D]`.
        groups: `[B]`.
        margin: In units of the distance.
        metric: One of `quaterion.functional.similarity.METRICS`.
        soft: Use softplus of the difference, and no margin.
        relative: Divide the difference by the mean nearest-negative distance (detached, at least 1e-6), so
            that shrinking all embeddings gains nothing.
        reference: `[M, D]` candidates instead of the batch itself.
        reference_groups: `[M]` groups of the candidates.

    Returns:
        A scalar.

    Example:
        >>> embeddings = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [0.0, 1.0]])
        >>> hard_triplet_loss(embeddings, torch.tensor([0, 0, 1, 1]), margin=0.5)
        tensor(0.)
        >>> hard_triplet_loss(embeddings, torch.tensor([0, 1, 0, 1]), margin=0.5)
        tensor(1.5000)
    """
    comparison = compare(embeddings, groups, reference, reference_groups, metric=metric)
    if comparison.empty:
        return zero_loss(embeddings)
    mined = hardest_distances(comparison)
    valid = mined.has_positive & mined.has_negative
    difference = mined.positive - mined.negative
    if relative:
        difference = difference / masked_mean(mined.negative.detach(), valid).clamp(min=_SMALLEST_SCALE)
    return masked_mean(F.softplus(difference) if soft else F.relu(difference + margin), valid)


def semi_hard_triplet_loss(
    embeddings: Tensor,
    groups: Tensor,
    *,
    margin: float = 0.5,
    metric: str = "cosine",
    reference: Tensor | None = None,
    reference_groups: Tensor | None = None,
) -> Tensor:
    """Compute the mean over all (anchor, positive) of [d(positive) − d(negative) + margin]₊.

    The negative is the nearest one that is farther than the positive, else the farthest one. Anchors without
    a negative are left out.

    Paper: Schroff et al., FaceNet, https://arxiv.org/abs/1503.03832

    Args:
        embeddings: `[B, D]`.
        groups: `[B]`.
        margin: In units of the distance.
        metric: One of `quaterion.functional.similarity.METRICS`.
        reference: `[M, D]` candidates instead of the batch itself.
        reference_groups: `[M]` groups of the candidates.

    Returns:
        A scalar.
    """

    def weigh(distances: Tensor, positive: Tensor, negative: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        ordered, order, count = _sorted_negatives(distances, negative)
        # −inf where nothing is asked: such a search always turns the same way, which costs a fraction.
        first_farther = torch.searchsorted(ordered, distances.masked_fill(~positive, -torch.inf), right=True)
        chosen = first_farther.minimum((count - 1).clamp(min=0).unsqueeze(1))
        pairs = positive & (count > 0).unsqueeze(1)
        active = pairs & (distances - ordered.gather(1, chosen) + margin > 0)
        weights = active.to(distances.dtype)
        pull = torch.zeros_like(distances).scatter_add_(1, order.gather(1, chosen), weights)
        return weights - pull, active.sum(), pairs.sum()

    return _weighted_triplets(embeddings, groups, margin, metric, reference, reference_groups, weigh)


def all_triplet_loss(
    embeddings: Tensor,
    groups: Tensor,
    *,
    margin: float = 0.5,
    metric: str = "cosine",
    reference: Tensor | None = None,
    reference_groups: Tensor | None = None,
) -> Tensor:
    """Compute the mean of d(positive) − d(negative) + margin over the triplets where it is positive.

    No triplet is built: each anchor's negatives are sorted once, a binary search counts the negatives that
    each positive violates, and the counts are the loss's exact gradient with respect to the distances. O(B²
    log B) instead of O(B³).

    Paper: Hermans et al., In Defense of the Triplet Loss, https://arxiv.org/abs/1703.07737

    Args:
        embeddings: `[B, D]`.
        groups: `[B]`.
        margin: In units of the distance.
        metric: One of `quaterion.functional.similarity.METRICS`.
        reference: `[M, D]` candidates instead of the batch itself.
        reference_groups: `[M]` groups of the candidates.

    Returns:
        A scalar.
    """

    def weigh(distances: Tensor, positive: Tensor, negative: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        ordered, order, _ = _sorted_negatives(distances, negative)
        # Of each positive, how many negatives are nearer than distance + margin.
        violated = torch.searchsorted(ordered, (distances + margin).masked_fill(~positive, -torch.inf))
        # Of each rank of a negative, how many positives violate it: those whose count is larger than the
        # rank.
        ends = distances.new_zeros(distances.shape[0], distances.shape[1] + 1)
        ends.scatter_add_(1, violated, torch.ones_like(distances))
        violating = distances.shape[1] - ends.cumsum(1)[:, :-1]
        pull = torch.zeros_like(distances).scatter_(1, order, violating)
        triplets = violated.sum()
        return violated.to(distances.dtype) - pull, triplets, triplets

    return _weighted_triplets(embeddings, groups, margin, metric, reference, reference_groups, weigh)


def _sorted_negatives(distances: Tensor, negative: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    ordered, order = distances.masked_fill(~negative, torch.inf).sort(dim=1)
    return ordered, order, negative.sum(dim=1)


def _weighted_triplets(
    embeddings: Tensor,
    groups: Tensor,
    margin: float,
    metric: str,
    reference: Tensor | None,
    reference_groups: Tensor | None,
    weigh: Callable[[Tensor, Tensor, Tensor], tuple[Tensor, Tensor, Tensor]],
) -> Tensor:
    # Both losses are linear in the distances once their triplets are chosen: how often each distance counts
    # (with a minus as the negative's) is found without autograd, and Σ count·distance then has the value and
    # gradient.
    comparison = compare(embeddings, groups, reference, reference_groups, metric=metric)
    if comparison.empty:
        return zero_loss(embeddings)
    weights: dict[int, Tensor] = {}
    active = torch.zeros((), dtype=torch.int64, device=embeddings.device)
    total = torch.zeros_like(active)
    with torch.no_grad():
        for start, stop in gradient_blocks(*comparison.shape):
            masks = comparison.masks(start, stop)
            weights[start], block_active, block_total = weigh(comparison.distances(start, stop), *masks)
            active, total = active + block_active, total + block_total

    def part(start: int, stop: int) -> tuple[Tensor]:
        return ((comparison.distances(start, stop) * weights[start]).sum(),)

    (weighted,) = sum_over_rows(part, *comparison.shape)
    return ratio(weighted + margin * active, total)
