"""Center loss."""

from torch import Tensor

from quaterion.functional.center import center_loss
from quaterion.functional.class_weights import class_scores
from quaterion.loss.checks import check_positive
from quaterion.loss.class_weights import new_class_weights
from quaterion.loss.group_loss import GroupLoss

__all__ = ["CenterLoss"]


class CenterLoss(GroupLoss):
    """Pull each embedding to the learned centre of its group: λ/2 times the mean squared distance of unit vectors.

    An addition to another loss (see `CombinedLoss`): nothing in it keeps groups apart, so on its own all embeddings and
    centres may collapse into one point.

    Differences to pytorch-metric-learning: its `CentroidTripletLoss` is another loss; it has no centre loss.

    Paper: Wen et al., A Discriminative Feature Learning Approach for Deep Face Recognition, ECCV 2016

    Args:
        embedding_size: Components of an embedding.
        num_groups: Number of groups in the training data.
        lambda_c: λ, above 0.

    Attributes:
        weight: `[num_groups, embedding_size]` centres.

    Raises:
        ValueError: If a size is no whole number of at least 1 or λ not above 0.

    Example:
        >>> import torch
        >>> loss = CenterLoss(embedding_size=2, num_groups=2, lambda_c=1.0)
        >>> _ = loss.load_state_dict({"weight": torch.eye(2)})
        >>> loss(torch.tensor([[1.0, 0.0]]), torch.tensor([1])).item()
        1.0
    """

    def __init__(self, embedding_size: int, num_groups: int, lambda_c: float = 0.5) -> None:
        super().__init__()
        self.weight = new_class_weights(embedding_size, num_groups)
        self.embedding_size = int(embedding_size)
        self.num_groups = int(num_groups)
        self.lambda_c = check_positive("lambda_c", lambda_c)

    def forward(self, embeddings: Tensor, groups: Tensor) -> Tensor:
        """Compute the loss of a batch.

        Args:
            embeddings: `[B, D]`.
            groups: `[B]` in 0..G−1; rows with −1 are left out.

        Returns:
            A scalar.
        """
        return center_loss(embeddings, groups, self.weight, lambda_c=self.lambda_c)

    def class_scores(self, embeddings: Tensor) -> Tensor:
        """Compare embeddings with every group, to classify them.

        Args:
            embeddings: `[B, D]`.

        Returns:
            `[B, G]` cosines to the centres; the largest of a row is the predicted group.
        """
        return class_scores(embeddings, self.weight)
