"""Center loss: each embedding close to its group's centre."""

from torch import Tensor

from quaterion.functional.reduce import masked_mean
from quaterion.functional.similarity import normalize

__all__ = ["center_loss"]


def center_loss(embeddings: Tensor, groups: Tensor, weight: Tensor, *, lambda_c: float = 0.5) -> Tensor:
    """Compute λ/2 times the mean squared distance of unit embeddings to their group's unit centre.

    Paper: Wen et al., A Discriminative Feature Learning Approach for Deep Face Recognition, ECCV 2016

    Args:
        embeddings: `[B, D]`.
        groups: `[B]` in 0..G−1; rows with −1 are left out.
        weight: `[G, D]` centres.
        lambda_c: λ.

    Returns:
        A scalar.

    Example:
        >>> import torch
        >>> center_loss(torch.tensor([[1.0, 0.0]]), torch.tensor([1]), torch.eye(2), lambda_c=1.0)
        tensor(1.)
    """
    groups = groups.long()
    centers = normalize(weight).index_select(0, groups.clamp(min=0))
    squared = (normalize(embeddings) - centers).square().sum(dim=1)
    return 0.5 * lambda_c * masked_mean(squared, groups >= 0)
