"""CosFace loss."""

from torch import Tensor

from quaterion.functional.class_weights import class_scores, cos_face_loss
from quaterion.loss.checks import check_non_negative, check_positive
from quaterion.loss.class_weights import new_class_weights
from quaterion.loss.group_loss import GroupLoss

__all__ = ["CosFaceLoss"]


class CosFaceLoss(GroupLoss):
    """Classify each embedding among all groups, with a margin on the cosine for its own.

    Cross-entropy of scale·cos θ, where the true group has scale·(cos θ − margin).

    Differences to pytorch-metric-learning: none but its transposed weight.

    Paper: Wang et al., CosFace, https://arxiv.org/abs/1801.09414

    Args:
        embedding_size: Components of an embedding.
        num_groups: Number of groups in the training data.
        margin: In units of the cosine, at least 0.
        scale: Inverse temperature, above 0.

    Attributes:
        weight: `[num_groups, embedding_size]` class weights.

    Raises:
        ValueError: If a size is no whole number of at least 1, or scale or margin out of range.

    Example:
        >>> import torch
        >>> loss = CosFaceLoss(embedding_size=2, num_groups=2, margin=0.0, scale=1.0)
        >>> _ = loss.load_state_dict({"weight": torch.eye(2)})
        >>> loss(torch.tensor([[1.0, 0.0]]), torch.tensor([0])).item()  # doctest: +ELLIPSIS
        0.3132...
    """

    def __init__(self, embedding_size: int, num_groups: int, margin: float = 0.35, scale: float = 64.0) -> None:
        super().__init__()
        self.weight = new_class_weights(embedding_size, num_groups)
        self.embedding_size = int(embedding_size)
        self.num_groups = int(num_groups)
        self.margin = check_non_negative("margin", margin)
        self.scale = check_positive("scale", scale)

    def forward(self, embeddings: Tensor, groups: Tensor) -> Tensor:
        """Compute the loss of a batch.

        Args:
            embeddings: `[B, D]`.
            groups: `[B]` in 0..G−1; rows with −1 are left out.

        Returns:
            A scalar.
        """
        return cos_face_loss(embeddings, groups, self.weight, scale=self.scale, margin=self.margin)

    def class_scores(self, embeddings: Tensor) -> Tensor:
        """Compare embeddings with every group, to classify them.

        Args:
            embeddings: `[B, D]`.

        Returns:
            `[B, G]` cosines; the largest of a row is the predicted group.
        """
        return class_scores(embeddings, self.weight)
