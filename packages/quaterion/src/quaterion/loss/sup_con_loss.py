"""Supervised contrastive loss."""

from torch import Tensor

from quaterion.distances import Distance
from quaterion.functional.sup_con import sup_con_loss
from quaterion.loss.checks import check_positive
from quaterion.loss.group_loss import GroupLoss

__all__ = ["SupConLoss"]


class SupConLoss(GroupLoss):
    """Let each object pick the objects of its group among all others: NT-Xent for groups.

    −mean over the objects with a positive of the mean over its positives p of log softmax_{j≠i}(s_ij / τ)_p.

    With several positives, the one that is already most similar may be pushed away in favour of the others: the
    minimum wants all of them equally similar.

    Differences to pytorch-metric-learning: none; its default reducer averages non-zero losses, and that of an object
    with a positive is never exactly 0. Its `NTXentLoss` puts one positive at a time against the negatives only, which
    is another loss where a group has more than two objects.

    Paper: Khosla et al., Supervised Contrastive Learning, https://arxiv.org/abs/2004.11362

    Args:
        temperature: τ, above 0.
        distance_metric_name: How embeddings are compared.

    Raises:
        ValueError: If the distance is unknown or the temperature not above 0.

    Example:
        >>> import torch
        >>> embeddings = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
        >>> SupConLoss(temperature=1.0)(embeddings, torch.tensor([0, 0, 1]))
        tensor(0.3133)
    """

    def __init__(self, temperature: float = 0.1, distance_metric_name: Distance | str = Distance.COSINE) -> None:
        super().__init__(distance_metric_name)
        self.temperature = check_positive("temperature", temperature)

    def forward(
        self,
        embeddings: Tensor,
        groups: Tensor,
        *,
        reference: Tensor | None = None,
        reference_groups: Tensor | None = None,
    ) -> Tensor:
        """Compute the loss of a batch.

        Args:
            embeddings: `[B, D]`.
            groups: `[B]`.
            reference: `[M, D]` candidates instead of the batch itself.
            reference_groups: `[M]` groups of the candidates.

        Returns:
            A scalar.
        """
        return sup_con_loss(
            embeddings,
            groups,
            temperature=self.temperature,
            metric=self.distance_metric_name.value,
            reference=reference,
            reference_groups=reference_groups,
        )
