"""Losses over pairs with graded scores."""

import torch
from torch import Tensor
from torch.nn import functional as F

from quaterion.functional.reduce import masked_logsumexp, zero_loss
from quaterion.functional.similarity import similarity

__all__ = ["cosent_loss", "cosine_similarity_loss"]


def cosine_similarity_loss(embeddings: Tensor, pairs: Tensor, scores: Tensor) -> Tensor:
    """Compute the mean squared difference of the pairs' cosine similarities and scores.

    Args:
        embeddings: `[B, D]`.
        pairs: `[P, 2]` rows of the embeddings.
        scores: `[P]`.

    Returns:
        A scalar.

    Example:
        >>> cosine_similarity_loss(torch.eye(2), torch.tensor([[0, 1]]), torch.tensor([0.5]))
        tensor(0.2500)
    """
    if len(pairs) == 0:
        return zero_loss(embeddings)
    similarities = _pair_similarities(embeddings, pairs, "cosine")
    return (similarities - scores.to(similarities.dtype)).square().mean()


def cosent_loss(
    embeddings: Tensor, pairs: Tensor, scores: Tensor, *, scale: float = 20.0, metric: str = "cosine"
) -> Tensor:
    """Compute log(1 + Σ exp(λ(s_kl − s_ij))) over all two pairs of which ij has the higher score.

    Sorted by score, the sum over the lower pairs is a prefix of a cumulative sum: O(P log P), no P × P matrix.

    Source: Su, CoSENT, https://kexue.fm/archives/8847

    Args:
        embeddings: `[B, D]`.
        pairs: `[P, 2]` rows of the embeddings.
        scores: `[P]`; only their order counts.
        scale: λ.
        metric: One of `quaterion.functional.similarity.METRICS`.

    Returns:
        A scalar.

    Example:
        >>> pairs = torch.tensor([[0, 0], [0, 1]])
        >>> cosent_loss(torch.eye(2), pairs, torch.tensor([0.0, 1.0]), scale=1.0)  # log(1 + e)
        tensor(1.3133)
    """
    if len(pairs) == 0:
        return zero_loss(embeddings)
    order = scores.argsort()
    ordered = scores.index_select(0, order).contiguous()
    logits = scale * _pair_similarities(embeddings, pairs.index_select(0, order), metric)
    lower = torch.searchsorted(ordered, ordered)  # how many pairs score less than each
    prefixes = logits.logcumsumexp(dim=0).index_select(0, (lower - 1).clamp(min=0))
    total = masked_logsumexp((prefixes - logits).unsqueeze(0), (lower > 0).unsqueeze(0))
    # With a single score nothing is lower than anything, and log(1 + 0) is 0.
    return F.softplus(total).masked_fill(ordered[-1] <= ordered[0], 0.0).squeeze(0)


def _pair_similarities(embeddings: Tensor, pairs: Tensor, metric: str) -> Tensor:
    first, second = pairs[:, 0], pairs[:, 1]
    return similarity(embeddings.index_select(0, first), embeddings.index_select(0, second), metric)
