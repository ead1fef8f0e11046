"""Contrastive losses: similar objects close together, dissimilar ones at least a margin apart."""

from torch import Tensor
from torch.nn import functional as F

from quaterion.functional.comparison import compare
from quaterion.functional.mining import hardest_distances, nearest_negative_distances
from quaterion.functional.reduce import masked_mean, masked_sum, ratio, zero_loss
from quaterion.functional.row_blocks import sum_over_rows
from quaterion.functional.similarity import prepared_distance

__all__ = ["contrastive_loss", "hard_online_contrastive_loss", "online_contrastive_loss"]


def contrastive_loss(
    embeddings: Tensor,
    pairs: Tensor,
    scores: Tensor,
    subgroups: Tensor,
    *,
    margin: float = 0.5,
    metric: str = "cosine",
    size_average: bool = True,
) -> Tensor:
    """Compute the contrastive loss of pairs, plus that of each object and its nearest negative in the batch.

    The mean over pairs of ½[score·d² + (1 − score)·[margin − d]₊²], plus the mean over the 2P objects that
    have an object of another subgroup in the batch of ½[margin − distance to the nearest such object]₊².

    Paper: Hadsell et al., Dimensionality Reduction by Learning an Invariant Mapping, CVPR 2006

    Args:
        embeddings: `[B, D]`.
        pairs: `[P, 2]` rows of the embeddings.
        scores: `[P]` in [0, 1].
        subgroups: One per row of the embeddings that is in a pair.
        margin: In units of the distance.
        metric: `cosine`, `euclidean` or `manhattan`; a negative distance cannot be squared.
        size_average: False for sums instead of means.

    Returns:
        A scalar.

    Example:
        >>> import torch
        >>> embeddings = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
        >>> contrastive_loss(embeddings, torch.tensor([[0, 1]]), torch.ones(1), torch.zeros(2))
        tensor(0.5000)
    """
    if len(pairs) == 0:
        return zero_loss(embeddings)
    rows = pairs.T.flatten()
    objects = compare(embeddings.index_select(0, rows), subgroups.index_select(0, rows), metric=metric)
    anchors, partners = objects.anchors.chunk(2)
    distances = prepared_distance(anchors, partners, metric)
    scores = scores.to(distances.dtype)
    of_pairs = 0.5 * (scores * distances.square() + (1.0 - scores) * F.relu(margin - distances).square())

    to_negative, has_negative = nearest_negative_distances(objects)
    of_objects = 0.5 * F.relu(margin - to_negative).square()
    if size_average:
        return of_pairs.mean() + masked_mean(of_objects, has_negative)
    return of_pairs.sum() + masked_sum(of_objects, has_negative)


def online_contrastive_loss(
    embeddings: Tensor,
    groups: Tensor,
    *,
    margin: float = 0.5,
    metric: str = "cosine",
    reference: Tensor | None = None,
    reference_groups: Tensor | None = None,
) -> Tensor:
    """Compute ½(mean of d² over positive pairs + mean of [margin − d]₊² over negative pairs) of a batch.

    Paper: Hadsell et al., Dimensionality Reduction by Learning an Invariant Mapping, CVPR 2006

    Args:
        embeddings: `[B, D]`.
        groups: `[B]`.
        margin: In units of the distance.
        metric: `cosine`, `euclidean` or `manhattan`; a negative distance cannot be squared.
        reference: `[M, D]` candidates instead of the batch itself.
        reference_groups: `[M]` groups of the candidates.

    Returns:
        A scalar.
    """
    comparison = compare(embeddings, groups, reference, reference_groups, metric=metric)
    if comparison.empty:
        return zero_loss(embeddings)

    def part(start: int, stop: int) -> tuple[Tensor, ...]:
        distances, masks = comparison.distances(start, stop), comparison.masks(start, stop)
        pulled = masked_sum(distances.square(), masks.positive)
        pushed = masked_sum(F.relu(margin - distances).square(), masks.negative)
        return pulled, pushed, masks.positive.sum(), masks.negative.sum()

    pulled, pushed, positives, negatives = sum_over_rows(part, *comparison.shape)
    return 0.5 * (ratio(pulled, positives) + ratio(pushed, negatives))


def hard_online_contrastive_loss(
    embeddings: Tensor,
    groups: Tensor,
    *,
    margin: float = 0.5,
    metric: str = "cosine",
    reference: Tensor | None = None,
    reference_groups: Tensor | None = None,
) -> Tensor:
    """Compute the online contrastive loss of each anchor's farthest positive and nearest negative only.

    Each of the two means has its own valid set: the anchors with a positive, and those with a negative.

    Args:
        embeddings: `[B, D]`.
        groups: `[B]`.
        margin: In units of the distance.
        metric: `cosine`, `euclidean` or `manhattan`; a negative distance cannot be squared.
        reference: `[M, D]` candidates instead of the batch itself.
        reference_groups: `[M]` groups of the candidates.

    Returns:
        A scalar.
    """
    comparison = compare(embeddings, groups, reference, reference_groups, metric=metric)
    if comparison.empty:
        return zero_loss(embeddings)
    mined = hardest_distances(comparison)
    pulled = masked_mean(mined.positive.square(), mined.has_positive)
    pushed = masked_mean(F.relu(margin - mined.negative).square(), mined.has_negative)
    return 0.5 * (pulled + pushed)
