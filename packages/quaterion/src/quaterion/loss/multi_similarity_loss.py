"""Multi-similarity loss."""

from torch import Tensor

from quaterion.distances import Distance
from quaterion.functional.multi_similarity import multi_similarity_loss
from quaterion.loss.checks import check_finite, check_non_negative, check_positive
from quaterion.loss.group_loss import GroupLoss

__all__ = ["MultiSimilarityLoss"]


class MultiSimilarityLoss(GroupLoss):
    """Select the pairs that are harder than some pair of the other kind, then weight them softly.

    The mean over all objects of 1/α·log(1 + Σ_p e^{−α(s_p − λ)}) + 1/β·log(1 + Σ_n e^{β(s_n − λ)}), over the positives
    with s_p < max_n s_n + ε and the negatives with s_n > min_p s_p − ε.

    Differences to pytorch-metric-learning: none where `MultiSimilarityLoss(alpha, beta, base)` is used with
    `MultiSimilarityMiner(epsilon)`; here the mining is part of the loss, as in the paper.

    Paper: Wang et al., Multi-Similarity Loss with General Pair Weighting, https://arxiv.org/abs/1904.06627

    Args:
        alpha: Weight of the positives, α above 0.
        beta: Weight of the negatives, β above 0.
        base: The similarity λ around which the weights change.
        epsilon: Slack of the mining, ε of at least 0.
        distance_metric_name: How embeddings are compared.

    Raises:
        ValueError: If the distance is unknown or a number out of range.

    Example:
        >>> import torch
        >>> embeddings = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [0.0, 1.0]])
        >>> MultiSimilarityLoss()(embeddings, torch.tensor([0, 0, 1, 1]))  # no pair is hard enough
        tensor(0.)
    """

    def __init__(
        self,
        alpha: float = 2.0,
        beta: float = 50.0,
        base: float = 0.5,
        epsilon: float = 0.1,
        distance_metric_name: Distance | str = Distance.COSINE,
    ) -> None:
        super().__init__(distance_metric_name)
        self.alpha = check_positive("alpha", alpha)
        self.beta = check_positive("beta", beta)
        self.base = check_finite("base", base)
        self.epsilon = check_non_negative("epsilon", epsilon)

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
        return multi_similarity_loss(
            embeddings,
            groups,
            alpha=self.alpha,
            beta=self.beta,
            base=self.base,
            epsilon=self.epsilon,
            metric=self.distance_metric_name.value,
            reference=reference,
            reference_groups=reference_groups,
        )
