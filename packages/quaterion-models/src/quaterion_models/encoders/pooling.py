"""From the vectors of a text's tokens to one vector of the text."""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import Tensor

Pooling = Literal["mean", "cls", "last_token"]
POOLINGS: tuple[str, ...] = get_args(Pooling)


def pool(hidden: Tensor, mask: Tensor | None, pooling: Pooling) -> Tensor:
    """Pools the vectors of tokens.

    Args:
        hidden: Vectors of the tokens, `[B, T, D]`.
        mask: 1 for a token and 0 for padding, on either side, `[B, T]`; None where nothing is padded.
        pooling: `"mean"` of all tokens, `"cls"` for the first token, `"last_token"` for the last.

    Returns:
        `[B, D]`; a mean of half precision comes out in float32, as it is summed.

    Example:
        >>> hidden = torch.tensor([[[1.0], [3.0], [9.0]]])
        >>> mask = torch.tensor([[1, 1, 0]])
        >>> pool(hidden, mask, "mean").item(), pool(hidden, mask, "last_token").item()
        (2.0, 3.0)
    """
    if pooling == "mean":
        return _mean(hidden, mask)
    if mask is None:
        return hidden[:, 0 if pooling == "cls" else -1]
    # argmax gives the first of equal values: the first token, or counted from the end the last.
    mask = mask.to(torch.int32)
    places = mask.argmax(1) if pooling == "cls" else hidden.shape[1] - 1 - mask.flip(1).argmax(1)
    return hidden[torch.arange(len(hidden), device=hidden.device), places]


def _mean(hidden: Tensor, mask: Tensor | None) -> Tensor:
    if hidden.dtype in (torch.float16, torch.bfloat16):
        hidden = hidden.float()
    if mask is None:
        return hidden.mean(1)
    weights = mask.to(hidden.dtype)
    if torch.is_autocast_enabled(hidden.device.type):  # a product of matrices would be one of half precision
        total = (hidden * weights.unsqueeze(2)).sum(1)
    else:  # as a product of matrices, so that no masked copy of [B, T, D] is made
        total = torch.bmm(weights.unsqueeze(1), hidden).squeeze(1)  # [B, D]
    return total / weights.sum(1, keepdim=True).clamp(min=1)
