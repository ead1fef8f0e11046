"""Losses that compare each embedding with one learned vector (or a few) per group."""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from quaterion.functional.reduce import masked_sum, ratio, zero_loss
from quaterion.functional.row_blocks import sum_over_rows
from quaterion.functional.similarity import at_least_float32, matrix_product, normalize

__all__ = ["arc_face_loss", "class_scores", "cos_face_loss", "softmax_loss"]


def class_scores(embeddings: Tensor, weight: Tensor, *, sub_centers: int = 1, normalized: bool = True) -> Tensor:
    """Compare each embedding with each group's class weight.

    Args:
        embeddings: `[B, D]`.
        weight: `[G · sub_centers, D]`, the centres of a group one after the other.
        sub_centers: How many centres a group has; the nearest one counts.
        normalized: Cosine similarity; False for the plain dot product.

    Returns:
        `[B, G]` similarities.

    Example:
        >>> class_scores(torch.tensor([[2.0, 0.0]]), torch.eye(2))
        tensor([[1., 0.]])
    """
    prepared = normalize if normalized else at_least_float32
    return _scores(prepared(embeddings), prepared(weight), sub_centers)


def softmax_loss(
    embeddings: Tensor, groups: Tensor, weight: Tensor, *, temperature: float = 0.05, normalized: bool = True
) -> Tensor:
    """Compute the mean cross-entropy of the similarities to the class weights over a temperature.

    Args:
        embeddings: `[B, D]`.
        groups: `[B]` in 0..G−1; rows with −1 are left out.
        weight: `[G, D]` class weights.
        temperature: What similarities are divided by.
        normalized: Cosine similarity; False for the plain dot product.

    Returns:
        A scalar.

    Example:
        >>> softmax_loss(torch.tensor([[1.0, 0.0]]), torch.tensor([0]), torch.eye(2), temperature=1.0)
        tensor(0.3133)
    """
    return _mean_cross_entropy(
        embeddings, groups, weight, lambda scores, _: scores / temperature, normalized=normalized
    )


def arc_face_loss(
    embeddings: Tensor,
    groups: Tensor,
    weight: Tensor,
    *,
    scale: float = 64.0,
    margin: float = 0.5,
    sub_centers: int = 1,
) -> Tensor:
    """Compute the mean cross-entropy of scale·cos θ, with scale·cos(θ + margin) for the true group.

    Where θ + margin exceeds π, cos θ − margin·sin(margin) keeps the logit falling with θ. At θ = 0 and π the
    angle has no derivative; its part of the gradient is 0 there.

    Paper: Deng et al., ArcFace, https://arxiv.org/abs/1801.07698; sub-centres: Deng et al., Sub-center
    ArcFace, 2020

    Args:
        embeddings: `[B, D]`.
        groups: `[B]` in 0..G−1; rows with −1 are left out.
        weight: `[G · sub_centers, D]` class weights, the centres of a group one after the other.
        scale: Inverse temperature.
        margin: An angle in radians.
        sub_centers: How many centres a group has; the nearest one counts.

    Returns:
        A scalar.
    """

    def logits(cosines: Tensor, is_target: Tensor) -> Tensor:
        squared_sine = 1.0 - cosines.square()
        on_axis = squared_sine <= 4.0 * torch.finfo(cosines.dtype).eps
        sine = squared_sine.masked_fill(on_axis, 1.0).sqrt().masked_fill(on_axis, 0.0)
        turned = cosines * math.cos(margin) - sine * math.sin(margin)  # cos(θ + margin)
        beyond = cosines < -math.cos(margin)
        turned = torch.where(beyond, cosines - margin * math.sin(margin), turned)
        return scale * torch.where(is_target, turned, cosines)

    return _mean_cross_entropy(embeddings, groups, weight, logits, sub_centers=sub_centers)


def cos_face_loss(
    embeddings: Tensor, groups: Tensor, weight: Tensor, *, scale: float = 64.0, margin: float = 0.35
) -> Tensor:
    """Compute the mean cross-entropy of scale·cos θ, with scale·(cos θ − margin) for the true group.

    Paper: Wang et al., CosFace, https://arxiv.org/abs/1801.09414

    Args:
        embeddings: `[B, D]`.
        groups: `[B]` in 0..G−1; rows with −1 are left out.
        weight: `[G, D]` class weights.
        scale: Inverse temperature.
        margin: In units of the cosine.

    Returns:
        A scalar.
    """
    return _mean_cross_entropy(
        embeddings,
        groups,
        weight,
        lambda cosines, is_target: scale * torch.where(is_target, cosines - margin, cosines),
    )


def _scores(embeddings: Tensor, weight: Tensor, sub_centers: int) -> Tensor:
    scores = matrix_product(embeddings, weight)
    # [B, G · k] -> [B, G, k] -> [B, G]
    return scores if sub_centers == 1 else scores.reshape(scores.shape[0], -1, sub_centers).amax(dim=2)


def _mean_cross_entropy(
    embeddings: Tensor,
    groups: Tensor,
    weight: Tensor,
    logits: Callable[[Tensor, Tensor], Tensor],
    *,
    sub_centers: int = 1,
    normalized: bool = True,
) -> Tensor:
    if len(embeddings) == 0:
        return zero_loss(embeddings)
    prepared = normalize if normalized else at_least_float32
    rows, classes = prepared(embeddings), prepared(weight)
    groups = groups.long()
    numbers = torch.arange(len(classes) // sub_centers, device=groups.device)

    def part(start: int, stop: int) -> tuple[Tensor, Tensor]:
        targets = groups[start:stop]
        is_target = targets.unsqueeze(1) == numbers
        values = logits(_scores(rows[start:stop], classes, sub_centers), is_target)
        of_target = values.gather(1, targets.clamp(min=0).unsqueeze(1)).squeeze(1)
        known = targets >= 0
        return masked_sum(values.logsumexp(dim=1) - of_target, known), known.sum()

    total, count = sum_over_rows(part, len(rows), len(classes))
    return ratio(total, count)
