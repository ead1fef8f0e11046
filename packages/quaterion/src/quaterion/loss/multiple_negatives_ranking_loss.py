"""Multiple negatives ranking loss."""

from torch import Tensor

from quaterion.batch import GroupTargets, PairTargets
from quaterion.distances import Distance
from quaterion.functional.in_batch_negatives import multiple_negatives_ranking_loss
from quaterion.loss.checks import check_positive
from quaterion.loss.pairwise_loss import PairwiseLoss

__all__ = ["MultipleNegativesRankingLoss"]


class MultipleNegativesRankingLoss(PairwiseLoss):
    """Let each anchor pick its own partner among all partners and explicit negatives of the batch.

    Cross-entropy over scale·s(a_i, ·) with target b_i. Objects equal to a_i or b_i, and objects of i's own subgroup
    where the data set has more than one subgroup, are no negatives.

    Differences to sentence-transformers: its loss masks no false negatives; its `scale` and symmetric form
    agree with ours.

    Paper: Henderson et al., Efficient Natural Language Response Suggestion, https://arxiv.org/abs/1705.00652

    Args:
        scale: Inverse temperature, above 0.
        distance_metric_name: How embeddings are compared.
        symmetric: Add the other direction, b_i among all a, and halve the sum.

    Raises:
        ValueError: If the distance is unknown or the scale not above 0.

    Example:
        >>> import torch
        >>> embeddings = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0], [0.0, 1.0]])
        >>> loss = MultipleNegativesRankingLoss(scale=1.0)
        >>> loss(embeddings, torch.tensor([[0, 2], [1, 3]]), torch.ones(2), torch.zeros(4))
        tensor(0.3133)
    """

    def __init__(
        self,
        scale: float = 20.0,
        distance_metric_name: Distance | str = Distance.COSINE,
        symmetric: bool = False,
    ) -> None:
        super().__init__(distance_metric_name)
        self.scale = check_positive("scale", scale)
        self.symmetric = symmetric

    def forward(
        self,
        embeddings: Tensor,
        pairs: Tensor,
        labels: Tensor,
        subgroups: Tensor,
        *,
        negatives: Tensor | None = None,
        ids: Tensor | None = None,
        subgroups_used: bool | None = None,
        reference: Tensor | None = None,
        reference_ids: Tensor | None = None,
        reference_subgroups: Tensor | None = None,
        guide: Tensor | None = None,
        reference_guide: Tensor | None = None,
    ) -> Tensor:
        """Compute the loss of a batch.

        Args:
            embeddings: `[2P + M, D]`: anchors, partners, explicit negatives.
            pairs: `[P, 2]` rows of the embeddings.
            labels: Not read: every pair is a positive one, which `check_targets` checks once.
            subgroups: `[2P]`, one per row in a pair; empty for each pair its own.
            negatives: `[M, 2]` rows of (anchor, explicit negative).
            ids: `[2P + M]`, one per row; equal ids mark equal objects.
            subgroups_used: Whether the data set has more than one subgroup, so that they say anything; a batch may
                hold one by chance. None: judged by the batch.
            reference: `[R, D]` further negatives, of earlier batches for example.
            reference_ids: `[R]` ids of the reference.
            reference_subgroups: `[R]` subgroups of the reference, compared with `subgroups`.
            guide: `[2P + M, D_guide]` the same rows as another model sees them; an object that it finds
                closer to the anchor than the partner is no negative.
            reference_guide: `[R, D_guide]` the reference as the guide sees it.

        Returns:
            A scalar.
        """
        pairs, _, subgroups = self._resolve(pairs, labels, subgroups, embeddings.shape[0])
        return multiple_negatives_ranking_loss(
            embeddings,
            pairs,
            subgroups,
            scale=self.scale,
            metric=self.distance_metric_name.value,
            symmetric=self.symmetric,
            negatives=negatives,
            ids=ids,
            subgroups_used=subgroups_used,
            reference=reference,
            reference_ids=reference_ids,
            reference_subgroups=reference_subgroups,
            guide=guide,
            reference_guide=reference_guide,
        )

    def check_targets(self, targets: GroupTargets | PairTargets) -> None:
        """Check that every score of a data set is 1.

        Args:
            targets: All targets of the data set together.

        Raises:
            TypeError: If the targets are those of groups.
            ValueError: If a score is not 1.
        """
        super().check_targets(targets)
        if not isinstance(targets, PairTargets):
            return
        wrong = targets.scores[targets.scores != 1]
        if len(wrong):
            raise ValueError(
                f"{type(self).__name__} takes positive pairs only, with score 1, but {len(wrong)} of "
                f"{len(targets.scores)} pairs have another score, the first {wrong[0].item():g}: leave them "
                "out, pass them as SimilarityPairSample(negatives=...), or choose ContrastiveLoss, "
                "CosineSimilarityLoss or CoSENTLoss"
            )
