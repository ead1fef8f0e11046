"""FastAP loss."""

from torch import Tensor

from quaterion.functional.fast_ap import fast_ap_loss
from quaterion.loss.checks import check_count
from quaterion.loss.group_loss import GroupLoss

__all__ = ["FastAPLoss"]


class FastAPLoss(GroupLoss):
    """Compute 1 − the mean average precision of each object's ranking, with distances in soft bins.

    Within a bin nothing is ordered, so a positive that moves into a bin full of negatives can raise the loss a little;
    larger batches with several objects per group suit it best.

    Differences to pytorch-metric-learning: its default reducer also averages over the objects with a positive; both
    agree where its embeddings are normalised, as they are by default.

    Paper: Cakir et al., Deep Metric Learning to Rank, CVPR 2019

    Args:
        num_bins: Number of intervals on the squared distances of unit vectors, [0, 4]; at least 1.

    Raises:
        ValueError: If `num_bins` is not a whole number of at least 1.

    Example:
        >>> import torch
        >>> embeddings = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [0.0, 1.0]])
        >>> FastAPLoss()(embeddings, torch.tensor([0, 0, 1, 1]))
        tensor(0.)
    """

    def __init__(self, num_bins: int = 10) -> None:
        super().__init__()
        self.num_bins = check_count("num_bins", num_bins)

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
        return fast_ap_loss(
            embeddings,
            groups,
            num_bins=self.num_bins,
            reference=reference,
            reference_groups=reference_groups,
        )
