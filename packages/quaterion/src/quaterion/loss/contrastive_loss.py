"""Contrastive loss over pairs."""

from torch import Tensor

from quaterion.batch import GroupTargets, PairTargets
from quaterion.distances import Distance
from quaterion.functional.contrastive import contrastive_loss
from quaterion.loss.checks import check_distance_can_be_squared, check_non_negative, check_scores
from quaterion.loss.pairwise_loss import PairwiseLoss

__all__ = ["ContrastiveLoss"]


class ContrastiveLoss(PairwiseLoss):
    """Pull pairs together or push them apart by their score, and push each object off its nearest negative.

    The mean over pairs of ½[score·d² + (1 − score)·[margin − d]₊²], plus the mean over the objects that have
    an object of another subgroup in the batch of ½[margin − distance to the nearest such object]₊².

    Differences to sentence-transformers: its `ContrastiveLoss` has the first term only.

    Paper: Hadsell et al., Dimensionality Reduction by Learning an Invariant Mapping, CVPR 2006

    Args:
        distance_metric_name: How embeddings are compared; not the dot product, whose distances can be
            negative.
        margin: How far apart dissimilar objects should be, in units of the distance; at least 0.
        size_average: False for sums instead of means.

    Raises:
        ValueError: If the distance is unknown or the dot product, or the margin negative.

    Example:
        >>> import torch
        >>> embeddings = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
        >>> ContrastiveLoss()(embeddings, torch.tensor([[0, 1]]), torch.tensor([0.0]), torch.tensor([0, 0]))
        tensor(0.)
    """

    uses_negatives = False

    def __init__(
        self,
        distance_metric_name: Distance | str = Distance.COSINE,
        margin: float = 0.5,
        size_average: bool = True,
    ) -> None:
        super().__init__(distance_metric_name)
        check_distance_can_be_squared(type(self).__name__, self.distance_metric_name)
        self.margin = check_non_negative("margin", margin)
        self.size_average = size_average

    def forward(
        self,
        embeddings: Tensor,
        pairs: Tensor,
        labels: Tensor,
        subgroups: Tensor,
        *,
        negatives: Tensor | None = None,  # noqa: ARG002 - the documented signature; check_targets warns
        ids: Tensor | None = None,  # noqa: ARG002 - the documented signature
    ) -> Tensor:
        """Compute the loss of a batch.

        Args:
            embeddings: `[2P + M, D]`: anchors, partners, explicit negatives.
            pairs: `[P, 2]` rows of the embeddings.
            labels: `[P]` scores in [0, 1]; empty for all 1.
            subgroups: `[2P]`, one per row in a pair; empty for each pair its own.
            negatives: Not used.
            ids: Not used.

        Returns:
            A scalar.
        """
        pairs, scores, subgroups = self._resolve(pairs, labels, subgroups, embeddings.shape[0])
        return contrastive_loss(
            embeddings,
            pairs,
            scores,
            subgroups,
            margin=self.margin,
            metric=self.distance_metric_name.value,
            size_average=self.size_average,
        )

    def check_targets(self, targets: GroupTargets | PairTargets) -> None:
        """Check that every score of a data set lies in [0, 1].

        Args:
            targets: All targets of the data set together.

        Raises:
            TypeError: If the targets are those of groups.
            ValueError: If a score lies elsewhere.
        """
        super().check_targets(targets)
        if isinstance(targets, PairTargets):
            check_scores(type(self).__name__, targets.scores, 0.0, 1.0)
