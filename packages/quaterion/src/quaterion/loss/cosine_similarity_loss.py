"""Cosine similarity loss."""

from torch import Tensor

from quaterion.batch import GroupTargets, PairTargets
from quaterion.functional.scored_pairs import cosine_similarity_loss
from quaterion.loss.checks import check_scores
from quaterion.loss.pairwise_loss import PairwiseLoss

__all__ = ["CosineSimilarityLoss"]


class CosineSimilarityLoss(PairwiseLoss):
    """Compute the mean squared difference of the pairs' cosine similarities and scores.

    Scores are cosines: those of marks from 0 to 5 are the marks over 5.

    Differences to sentence-transformers: none with its default loss function.

    Example:
        >>> import torch
        >>> loss = CosineSimilarityLoss()
        >>> loss(torch.eye(2), torch.tensor([[0, 1]]), torch.tensor([0.5]), torch.tensor([]))
        tensor(0.2500)
    """

    uses_negatives = False

    def __init__(self) -> None:
        super().__init__()

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
            labels: `[P]` scores in [−1, 1]; empty for all 1.
            subgroups: Not used.
            negatives: Not used.
            ids: Not used.

        Returns:
            A scalar.
        """
        pairs, scores, _ = self._resolve(pairs, labels, subgroups, embeddings.shape[0])
        return cosine_similarity_loss(embeddings, pairs, scores)

    def check_targets(self, targets: GroupTargets | PairTargets) -> None:
        """Check that every score of a data set lies in [−1, 1], as cosines do.

        Args:
            targets: All targets of the data set together.

        Raises:
            TypeError: If the targets are those of groups.
            ValueError: If a score lies elsewhere.
        """
        super().check_targets(targets)
        if isinstance(targets, PairTargets):
            check_scores(type(self).__name__, targets.scores, -1.0, 1.0)
