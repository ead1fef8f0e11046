"""CoSENT loss."""

from torch import Tensor

from quaterion.distances import Distance
from quaterion.functional.scored_pairs import cosent_loss
from quaterion.loss.checks import check_positive
from quaterion.loss.pairwise_loss import PairwiseLoss

__all__ = ["CoSENTLoss"]


class CoSENTLoss(PairwiseLoss):
    """Rank the pairs of a batch by their scores: log(1 + Σ exp(λ(s_kl − s_ij))) over pairs with score_ij > score_kl.

    Only the order of the scores counts, not their values, which makes it the usual choice for graded scores.

    Differences to sentence-transformers: none.

    Source: Su, CoSENT, https://kexue.fm/archives/8847

    Args:
        scale: λ, above 0.
        distance_metric_name: How embeddings are compared.

    Raises:
        ValueError: If the distance is unknown or the scale not above 0.

    Example:
        >>> import torch
        >>> pairs, scores = torch.tensor([[0, 0], [0, 1]]), torch.tensor([0.0, 1.0])
        >>> CoSENTLoss(scale=1.0)(torch.eye(2), pairs, scores, torch.tensor([]))  # log(1 + e)
        tensor(1.3133)
    """

    uses_negatives = False

    def __init__(self, scale: float = 20.0, distance_metric_name: Distance | str = Distance.COSINE) -> None:
        super().__init__(distance_metric_name)
        self.scale = check_positive("scale", scale)

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
            labels: `[P]` scores; empty for all 1, which leaves nothing to rank.
            subgroups: Not used.
            negatives: Not used.
            ids: Not used.

        Returns:
            A scalar.
        """
        pairs, scores, _ = self._resolve(pairs, labels, subgroups, embeddings.shape[0])
        return cosent_loss(embeddings, pairs, scores, scale=self.scale, metric=self.distance_metric_name.value)
