"""Circle loss."""

from torch import Tensor

from quaterion.distances import Distance
from quaterion.functional.circle import circle_loss
from quaterion.loss.checks import check_non_negative, check_positive
from quaterion.loss.group_loss import GroupLoss

__all__ = ["CircleLoss"]


class CircleLoss(GroupLoss):
    """Pull positives and push negatives, each the harder the farther it is from where it should be.

    The mean over the objects with a positive and a negative of
    softplus(LSE_n γ·α_n·(s_n − m) + LSE_p −γ·α_p·(s_p − (1 − m))), with the weights α_p = [1 + m − s_p]₊ and
    α_n = [s_n + m]₊ detached.

    Differences to pytorch-metric-learning: its default reducer averages non-zero losses only, with `MeanReducer` it
    agrees where every object has a positive and a negative.

    Paper: Sun et al., Circle Loss, https://arxiv.org/abs/2002.10857

    Args:
        margin: m, in units of the similarity; at least 0. The paper uses 0.25 for faces, 0.4 for retrieval.
        scale_factor: γ, above 0. The paper uses 256 for faces, 80 for retrieval.
        distance_metric_name: How embeddings are compared.

    Raises:
        ValueError: If the distance is unknown, the margin negative, or the scale factor not above 0.

    Example:
        >>> import torch
        >>> embeddings = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [0.0, 1.0]])
        >>> CircleLoss(scale_factor=8)(embeddings, torch.tensor([0, 0, 1, 1]))
        tensor(0.5514)
    """

    def __init__(
        self,
        margin: float = 0.25,
        scale_factor: float = 256,
        distance_metric_name: Distance | str = Distance.COSINE,
    ) -> None:
        super().__init__(distance_metric_name)
        self.margin = check_non_negative("margin", margin)
        self.scale_factor = check_positive("scale_factor", scale_factor)

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
        return circle_loss(
            embeddings,
            groups,
            margin=self.margin,
            scale_factor=self.scale_factor,
            metric=self.distance_metric_name.value,
            reference=reference,
            reference_groups=reference_groups,
        )
