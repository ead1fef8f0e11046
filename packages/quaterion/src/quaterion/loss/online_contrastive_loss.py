"""Online contrastive loss."""

from typing import Literal, get_args

from torch import Tensor

from quaterion.distances import Distance
from quaterion.functional.contrastive import hard_online_contrastive_loss, online_contrastive_loss
from quaterion.loss.checks import check_choice, check_distance_can_be_squared, check_non_negative
from quaterion.loss.group_loss import GroupLoss

__all__ = ["OnlineContrastiveLoss"]

Mining = Literal["hard", "all"]


class OnlineContrastiveLoss(GroupLoss):
    """Compute ½(mean of d² over positive pairs + mean of [margin − d]₊² over negative pairs).

    With `hard`, only each object's farthest positive and nearest negative count.

    Differences to pytorch-metric-learning: its `ContrastiveLoss` adds distances instead of their squares, averages
    non-zero losses only (`MeanReducer` averages all), and has no factor ½. The `OnlineContrastiveLoss` of
    sentence-transformers is a loss over pairs, `ContrastiveLoss` here, of which only the hard pairs of a batch count.

    Paper: Hadsell et al., Dimensionality Reduction by Learning an Invariant Mapping, CVPR 2006

    Args:
        margin: How far apart different groups should be, in units of the distance; at least 0.
        distance_metric_name: How embeddings are compared; not the dot product, whose distances can be
            negative.
        mining: Which pairs count.

    Raises:
        ValueError: If the mining or distance is unknown, the distance is the dot product, or the margin
            negative.

    Example:
        >>> import torch
        >>> embeddings = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
        >>> OnlineContrastiveLoss(mining="all")(embeddings, torch.tensor([0, 0, 1]))
        tensor(0.)
    """

    def __init__(
        self,
        margin: float = 0.5,
        distance_metric_name: Distance | str = Distance.COSINE,
        mining: Mining = "hard",
    ) -> None:
        super().__init__(distance_metric_name)
        check_distance_can_be_squared(type(self).__name__, self.distance_metric_name)
        self.margin = check_non_negative("margin", margin)
        self.mining = check_choice("mining", mining, get_args(Mining))

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
        formula = hard_online_contrastive_loss if self.mining == "hard" else online_contrastive_loss
        return formula(
            embeddings,
            groups,
            margin=self.margin,
            metric=self.distance_metric_name.value,
            reference=reference,
            reference_groups=reference_groups,
        )
