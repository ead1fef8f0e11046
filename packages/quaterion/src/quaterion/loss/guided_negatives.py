"""In-batch negatives that a second model has looked at."""

from typing import Any

from torch import Tensor

from quaterion.batch import GroupTargets, PairTargets
from quaterion.loss.multiple_negatives_ranking_loss import MultipleNegativesRankingLoss
from quaterion.loss.pairwise_loss import PairwiseLoss
from quaterion.loss.vector_table import TeacherVectors

__all__ = ["GuidedNegatives"]


class GuidedNegatives(PairwiseLoss):
    """Leave out in-batch negatives that a guide finds closer to the anchor than its own partner.

    Differences to sentence-transformers: its `GISTEmbedLoss` also compares anchors with anchors and partners with
    partners; here the candidates are those of `MultipleNegativesRankingLoss`, explicit negatives among them.

    Paper: Solatorio, GISTEmbed, https://arxiv.org/abs/2402.16829

    Args:
        loss: The loss over in-batch negatives.
        guide: Another model's vectors by id: a `VectorTable`, or an embedding store or encoder from which training
            makes one. The guide compares by cosine.

    Raises:
        TypeError: If the loss is of another kind or there is no guide.

    Example:
        >>> import torch
        >>> from quaterion.loss import VectorTable
        >>> guide = VectorTable(torch.arange(4), torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0], [1.0, 0.0]]))
        >>> loss = GuidedNegatives(MultipleNegativesRankingLoss(), guide)
        >>> pairs = torch.tensor([[0, 2], [1, 3]])
        >>> vectors = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.0, 1.0], [1.0, 0.0]])
        >>> round(loss(vectors, pairs, torch.ones(2), torch.zeros(4), ids=torch.arange(4)).item(), 3)
        0.0
    """

    def __init__(self, loss: MultipleNegativesRankingLoss, guide: Any) -> None:
        if not isinstance(loss, MultipleNegativesRankingLoss):
            raise TypeError(
                f"GuidedNegatives masks candidates of a MultipleNegativesRankingLoss, got {type(loss).__name__}: pass "
                "GuidedNegatives(MultipleNegativesRankingLoss(), guide)"
            )
        super().__init__(loss.distance_metric_name)
        self.loss = loss
        self.guide = TeacherVectors(guide, "guide")

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
        guide_embeddings: Tensor | None = None,
    ) -> Tensor:
        """Compute the loss of a batch.

        Args:
            embeddings: `[2P + M, D]`: anchors, partners, explicit negatives.
            pairs: `[P, 2]` rows of the embeddings.
            labels: Not read, as every pair is a positive one.
            subgroups: `[2P]`, one per row in a pair; empty for each pair its own.
            negatives: `[M, 2]` rows of (anchor, explicit negative).
            ids: `[2P + M]`, one per row; the guide's vectors are looked up by them.
            subgroups_used: As for `MultipleNegativesRankingLoss`.
            reference: `[R, D]` further negatives, of earlier batches for example.
            reference_ids: `[R]` ids of the reference, by which the guide sees them too.
            reference_subgroups: `[R]` subgroups of the reference.
            guide_embeddings: `[2P + M, D_guide]` the guide's vectors of the same rows, instead of looking them up.

        Returns:
            A scalar.
        """
        if guide_embeddings is None and embeddings.shape[0] > 0:
            guide_embeddings = self.guide(ids)
        reference_guide = None
        if reference_ids is not None and self.guide.bound:
            reference_guide = self.guide(reference_ids) if reference_ids.numel() else None
        loss: Tensor = self.loss(
            embeddings,
            pairs,
            labels,
            subgroups,
            negatives=negatives,
            ids=ids,
            subgroups_used=subgroups_used,
            reference=reference,
            reference_ids=reference_ids,
            reference_subgroups=reference_subgroups,
            guide=guide_embeddings,
            reference_guide=reference_guide,
        )
        return loss

    def check_targets(self, targets: GroupTargets | PairTargets) -> None:
        """Check the pairs of a whole data set, and that the guide knows its objects.

        Args:
            targets: All targets of the data set together.

        Raises:
            TypeError: If the targets are those of groups.
            ValueError: If a score is not 1 or the guide has no vector for an object.
        """
        super().check_targets(targets)
        self.loss.check_targets(targets)
        if isinstance(targets, PairTargets):
            self.guide.check_ids(targets.ids)
