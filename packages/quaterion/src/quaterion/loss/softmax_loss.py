"""Softmax loss."""

from torch import Tensor

from quaterion.distances import Distance
from quaterion.functional.class_weights import class_scores, softmax_loss
from quaterion.loss.checks import check_positive
from quaterion.loss.class_weights import new_class_weights
from quaterion.loss.group_loss import GroupLoss

__all__ = ["SoftmaxLoss"]


class SoftmaxLoss(GroupLoss):
    """Classify each embedding among all groups: cross-entropy of its cosines to the class weights over a temperature.

    Differences to pytorch-metric-learning: its `NormalizedSoftmaxLoss` agrees; its weight is transposed.

    Args:
        embedding_size: Components of an embedding.
        num_groups: Number of groups in the training data.
        temperature: What the similarities are divided by, above 0.
        normalize: Compare by cosine; False for the plain dot product.

    Attributes:
        weight: `[num_groups, embedding_size]` class weights.

    Raises:
        ValueError: If a size is no whole number of at least 1 or the temperature not above 0.

    Example:
        >>> import torch
        >>> loss = SoftmaxLoss(embedding_size=2, num_groups=2, temperature=1.0)
        >>> _ = loss.load_state_dict({"weight": torch.eye(2)})
        >>> loss(torch.tensor([[1.0, 0.0]]), torch.tensor([0])).item()  # doctest: +ELLIPSIS
        0.3132...
    """

    def __init__(
        self, embedding_size: int, num_groups: int, temperature: float = 0.05, *, normalize: bool = True
    ) -> None:
        super().__init__(Distance.COSINE if normalize else Distance.DOT_PRODUCT)
        self.weight = new_class_weights(embedding_size, num_groups)
        self.embedding_size = int(embedding_size)
        self.num_groups = int(num_groups)
        self.temperature = check_positive("temperature", temperature)
        self.normalize = normalize

    def forward(self, embeddings: Tensor, groups: Tensor) -> Tensor:
        """Compute the loss of a batch.

        Args:
            embeddings: `[B, D]`.
            groups: `[B]` in 0..G−1; rows with −1 are left out.

        Returns:
            A scalar.
        """
        return softmax_loss(embeddings, groups, self.weight, temperature=self.temperature, normalized=self.normalize)

    def class_scores(self, embeddings: Tensor) -> Tensor:
        """Compare embeddings with every group, to classify them.

        Args:
            embeddings: `[B, D]`.

        Returns:
            `[B, G]` similarities; the largest of a row is the predicted group.
        """
        return class_scores(embeddings, self.weight, normalized=self.normalize)
