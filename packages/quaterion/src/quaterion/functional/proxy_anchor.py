"""Proxy-anchor loss: each group's proxy looks at all embeddings of the batch."""

import torch
from torch import Tensor
from torch.nn import functional as F

from quaterion.functional.reduce import masked_logsumexp, masked_sum, ratio, zero_loss
from quaterion.functional.row_blocks import sum_over_rows
from quaterion.functional.similarity import matrix_product, normalize

__all__ = ["proxy_anchor_loss"]


def proxy_anchor_loss(
    embeddings: Tensor, groups: Tensor, weight: Tensor, *, alpha: float = 32.0, margin: float = 0.1
) -> Tensor:
    """Compute the proxy-anchor loss.

    The mean over the proxies that have an object in the batch of log(1 + Σ over those objects of e^{−α(s −
    δ)}), plus the mean over all proxies of log(1 + Σ over the objects of other groups of e^{α(s + δ)}).

    Paper: Kim et al., Proxy Anchor Loss for Deep Metric Learning, https://arxiv.org/abs/2003.13911

    Args:
        embeddings: `[B, D]`.
        groups: `[B]` in 0..G−1; rows with −1 are left out.
        weight: `[G, D]` proxies.
        alpha: Inverse temperature.
        margin: δ, in units of the cosine.

    Returns:
        A scalar.
    """
    if len(embeddings) == 0:
        return zero_loss(embeddings)
    objects, proxies = normalize(embeddings), normalize(weight)
    known = groups >= 0

    def part(start: int, stop: int) -> tuple[Tensor, Tensor, Tensor]:
        similarities = matrix_product(proxies[start:stop], objects)  # [proxies, B]
        own = torch.arange(start, stop, device=groups.device).unsqueeze(1) == groups
        others = ~own & known
        present, opposed = own.any(dim=1), others.any(dim=1)
        pulled = F.softplus(masked_logsumexp(-alpha * (similarities - margin), own))
        pushed = F.softplus(masked_logsumexp(alpha * (similarities + margin), others))
        return masked_sum(pulled, present), present.sum(), masked_sum(pushed, opposed)

    pulled, present, pushed = sum_over_rows(part, len(proxies), len(objects))
    return ratio(pulled, present) + pushed / len(proxies)
