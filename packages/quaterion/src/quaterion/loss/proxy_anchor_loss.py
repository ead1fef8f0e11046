"""Proxy-anchor loss."""

from torch import Tensor

from quaterion.functional.class_weights import class_scores
from quaterion.functional.proxy_anchor import proxy_anchor_loss
from quaterion.loss.checks import check_finite, check_positive
from quaterion.loss.class_weights import new_class_weights
from quaterion.loss.group_loss import GroupLoss

__all__ = ["ProxyAnchorLoss"]


class ProxyAnchorLoss(GroupLoss):
    """Let a learned proxy of each group pull its objects and push all others, the hardest most.

    The mean over the proxies that have an object in the batch of log(1 + Σ over those objects of e^{−α(s − δ)}), plus
    the mean over all proxies of log(1 + Σ over the objects of other groups of e^{α(s + δ)}).

    Differences to pytorch-metric-learning: none with its default reducer. Give the proxies a learning rate of their
    own, the paper uses 100 times that of the model.

    Paper: Kim et al., Proxy Anchor Loss for Deep Metric Learning, https://arxiv.org/abs/2003.13911

    Args:
        embedding_size: Components of an embedding.
        num_groups: Number of groups in the training data.
        alpha: Inverse temperature α, above 0.
        margin: δ, in units of the cosine.

    Attributes:
        weight: `[num_groups, embedding_size]` proxies.

    Raises:
        ValueError: If a size is no whole number of at least 1 alpha not above 0, or the margin no finite number.

    Example:
        >>> import torch
        >>> loss = ProxyAnchorLoss(embedding_size=2, num_groups=2, alpha=1.0, margin=0.0)
        >>> _ = loss.load_state_dict({"weight": torch.eye(2)})
        >>> loss(torch.tensor([[1.0, 0.0]]), torch.tensor([0])).item()  # log(1 + 1/e) + log(1 + 1) / 2
        0.6598...
    """

    def __init__(self, embedding_size: int, num_groups: int, alpha: float = 32.0, margin: float = 0.1) -> None:
        super().__init__()
        self.weight = new_class_weights(embedding_size, num_groups)
        self.embedding_size = int(embedding_size)
        self.num_groups = int(num_groups)
        self.alpha = check_positive("alpha", alpha)
        self.margin = check_finite("margin", margin)

    def forward(self, embeddings: Tensor, groups: Tensor) -> Tensor:
        """Compute the loss of a batch.

        Args:
            embeddings: `[B, D]`.
            groups: `[B]` in 0..G−1; rows with −1 are left out.

        Returns:
            A scalar.
        """
        return proxy_anchor_loss(embeddings, groups, self.weight, alpha=self.alpha, margin=self.margin)

    def class_scores(self, embeddings: Tensor) -> Tensor:
        """Compare embeddings with every group, to classify them.

        Args:
            embeddings: `[B, D]`.

        Returns:
            `[B, G]` cosines to the proxies; the largest of a row is the predicted group.
        """
        return class_scores(embeddings, self.weight)
