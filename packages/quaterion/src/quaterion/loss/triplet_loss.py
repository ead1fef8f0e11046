"""Triplet loss."""

import warnings
from typing import Literal, get_args

from torch import Tensor

from quaterion.distances import Distance
from quaterion.functional.triplet import all_triplet_loss, hard_triplet_loss, semi_hard_triplet_loss
from quaterion.loss.checks import check_choice, check_non_negative
from quaterion.loss.group_loss import GroupLoss

__all__ = ["TripletLoss"]

Mining = Literal["hard", "semi_hard", "all"]


class TripletLoss(GroupLoss):
    """Pull each object to its group and push other groups away until they are a margin farther.

    - `hard`: mean over the objects of [farthest positive − nearest negative + margin]₊.
    - `semi_hard`: mean over all (object, positive) of the same with the nearest negative that is farther than
      the positive, else the farthest negative.
    - `all`: mean over the triplets whose loss is positive.

    Objects without a positive or without a negative in the batch are left out.

    Differences to pytorch-metric-learning: its `TripletMarginLoss` averages non-zero losses by default, ours
    (except with `all`) averages over all valid anchors, as its `MeanReducer` does; its semi-hard miner drops
    the pairs that have no semi-hard negative, FaceNet and ours take the farthest one. Differences to
    sentence-transformers: its `BatchHard` losses agree where every object has a positive and a negative in the batch;
    an object without a positive counts there, with a distance of 0, and is left out here.

    Papers: https://arxiv.org/abs/1703.07737 (hard, all), https://arxiv.org/abs/1503.03832 (semi-hard)

    Args:
        margin: How much farther a negative should be, in units of the distance; at least 0.
        distance_metric_name: How embeddings are compared.
        mining: Which triplets count.
        soft: With `hard`: softplus of the difference instead of a margin. The others ignore it and warn.
        relative: With `hard`: divide the difference by the batch's mean nearest-negative distance, which
            guards against the collapse of all embeddings into one point. Needs a distance that is never
            negative.

    Raises:
        ValueError: If the mining or distance is unknown, the margin negative, or `relative` is combined with
            another mining or with the dot product.

    Example:
        >>> import torch
        >>> embeddings = torch.tensor([[1.0, 0.0], [1.0, 0.1], [0.0, 1.0], [0.1, 1.0]])
        >>> TripletLoss()(embeddings, torch.tensor([0, 0, 1, 1]))
        tensor(0.)
    """

    def __init__(
        self,
        margin: float = 0.5,
        distance_metric_name: Distance | str = Distance.COSINE,
        mining: Mining = "hard",
        soft: bool = False,
        *,
        relative: bool = False,
    ) -> None:
        super().__init__(distance_metric_name)
        self.margin = check_non_negative("margin", margin)
        self.mining = check_choice("mining", mining, get_args(Mining))
        self.soft = soft
        self.relative = relative
        if soft and mining != "hard":
            warnings.warn(
                f"soft=True means something with mining='hard' only and is ignored with mining={mining!r}",
                stacklevel=2,
            )
        if relative and mining != "hard":
            raise ValueError(f"relative=True needs mining='hard', got mining={mining!r}: drop one of the two")
        if relative and self.distance_metric_name is Distance.DOT_PRODUCT:
            raise ValueError(
                "relative=True divides by a distance, and dot_product distances can be negative: "
                "use cosine, euclidean or manhattan"
            )

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
        if self.mining == "hard":
            return hard_triplet_loss(
                embeddings,
                groups,
                margin=self.margin,
                metric=self.distance_metric_name.value,
                soft=self.soft,
                relative=self.relative,
                reference=reference,
                reference_groups=reference_groups,
            )
        formula = all_triplet_loss if self.mining == "all" else semi_hard_triplet_loss
        return formula(
            embeddings,
            groups,
            margin=self.margin,
            metric=self.distance_metric_name.value,
            reference=reference,
            reference_groups=reference_groups,
        )
