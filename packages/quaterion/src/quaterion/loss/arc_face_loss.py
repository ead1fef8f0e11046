"""ArcFace loss."""

import math

from torch import Tensor

from quaterion.functional.class_weights import arc_face_loss, class_scores
from quaterion.loss.checks import check_non_negative, check_positive
from quaterion.loss.class_weights import new_class_weights
from quaterion.loss.group_loss import GroupLoss

__all__ = ["ArcFaceLoss"]


class ArcFaceLoss(GroupLoss):
    """Classify each embedding among all groups, with an angular margin for its own.

    Cross-entropy of scale·cos θ, where the true group has scale·cos(θ + margin), or scale·(cos θ − margin·sin(margin))
    beyond π.

    Differences to pytorch-metric-learning: the same, except that its margin is in degrees and its weight transposed,
    and that it clips cosines near ±1.

    Paper: Deng et al., ArcFace, https://arxiv.org/abs/1801.07698; sub-centres: Deng et al., Sub-center ArcFace, ECCV
    2020

    Args:
        embedding_size: Components of an embedding.
        num_groups: Number of groups in the training data.
        scale: Inverse temperature, above 0.
        margin: In radians, from 0 to below π.
        sub_centers: Centres per group, of which the nearest counts; more than 1 helps with noisy labels.

    Attributes:
        weight: `[num_groups · sub_centers, embedding_size]` class weights, the centres of a group one after the other.

    Raises:
        ValueError: If a size is no whole number of at least 1, or scale or margin out of range.

    Example:
        >>> import torch
        >>> loss = ArcFaceLoss(embedding_size=2, num_groups=2, scale=1.0, margin=0.0)
        >>> _ = loss.load_state_dict({"weight": torch.eye(2)})
        >>> loss(torch.tensor([[1.0, 0.0]]), torch.tensor([0])).item()  # doctest: +ELLIPSIS
        0.3132...
    """

    def __init__(
        self,
        embedding_size: int,
        num_groups: int,
        scale: float = 64.0,
        margin: float = 0.5,
        *,
        sub_centers: int = 1,
    ) -> None:
        super().__init__()
        self.weight = new_class_weights(embedding_size, num_groups, sub_centers)
        self.embedding_size = int(embedding_size)
        self.num_groups = int(num_groups)
        self.scale = check_positive("scale", scale)
        self.margin = check_non_negative("margin", margin)
        if self.margin >= math.pi:
            raise ValueError(
                f"margin is an angle in radians and must be below π, got {margin!r}: {margin}° are "
                f"{math.radians(margin):.3g}"
            )
        self.sub_centers = int(sub_centers)

    def forward(self, embeddings: Tensor, groups: Tensor) -> Tensor:
        """Compute the loss of a batch.

        Args:
            embeddings: `[B, D]`.
            groups: `[B]` in 0..G−1; rows with −1 are left out.

        Returns:
            A scalar.
        """
        return arc_face_loss(
            embeddings,
            groups,
            self.weight,
            scale=self.scale,
            margin=self.margin,
            sub_centers=self.sub_centers,
        )

    def class_scores(self, embeddings: Tensor) -> Tensor:
        """Compare embeddings with every group, to classify them.

        Args:
            embeddings: `[B, D]`.

        Returns:
            `[B, G]` cosines to the nearest centre; the largest of a row is the predicted group.
        """
        return class_scores(embeddings, self.weight, sub_centers=self.sub_centers)
