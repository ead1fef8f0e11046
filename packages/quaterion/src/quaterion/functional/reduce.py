"""Means and sums over what is valid, safe where nothing is."""

import torch
from torch import Tensor

__all__ = ["masked_logsumexp", "masked_mean", "masked_sum", "ratio", "zero_loss"]


def zero_loss(embeddings: Tensor) -> Tensor:
    """Return exactly 0, connected to the embeddings: its gradient is zero everywhere.

    Args:
        embeddings: `[B, D]`, B may be 0.

    Returns:
        A scalar in at least float32.

    Example:
        >>> x = torch.ones(2, 3, requires_grad=True)
        >>> zero_loss(x).backward()
        >>> x.grad.abs().sum()
        tensor(0.)
    """
    # The sum of no elements: 0 even where an embedding is infinite.
    total = embeddings.flatten()[:0].sum()
    return total if total.dtype == torch.float64 else total.float()


def masked_sum(values: Tensor, mask: Tensor, dim: int | None = None) -> Tensor:
    """Sum the values where the mask holds.

    Args:
        values: Any shape.
        mask: bool, same shape.
        dim: The axis to sum over; all where omitted.

    Returns:
        The sum; a scalar without `dim`.
    """
    kept = values.masked_fill(~mask, 0.0)
    return kept.sum() if dim is None else kept.sum(dim=dim)


def ratio(total: Tensor, count: Tensor) -> Tensor:
    """Divide a sum by the number of what it sums over; 0 where there was nothing.

    Args:
        total: Sums, 0 where the count is 0.
        count: int or float counts of the same shape.

    Returns:
        The means.
    """
    return total / count.clamp(min=1).to(total.dtype)


def masked_mean(values: Tensor, mask: Tensor) -> Tensor:
    """Average the values where the mask holds; exactly 0 (with a gradient of zero) where it holds nowhere.

    Args:
        values: Any shape.
        mask: bool, same shape.

    Returns:
        A scalar.

    Example:
        >>> masked_mean(torch.tensor([1.0, 3.0, 100.0]), torch.tensor([True, True, False]))
        tensor(2.)
    """
    return ratio(masked_sum(values, mask), mask.sum())


def masked_logsumexp(values: Tensor, mask: Tensor, dim: int = 1) -> Tensor:
    """Compute log Σ exp over the entries where the mask holds; 0 with zero gradient where it holds nowhere.

    The caller decides what an empty sum means and replaces the 0 where that matters.

    Args:
        values: `[n, m]`.
        mask: `[n, m]` bool.
        dim: The axis to sum over.

    Returns:
        `[n]` for `dim=1`, `[m]` for `dim=0`.
    """
    empty = ~mask.any(dim=dim)
    # A row of −inf alone has NaN for a gradient: give empty rows one harmless constant instead.
    filled = values.masked_fill(~mask, -torch.inf).masked_fill(empty.unsqueeze(dim), 0.0)
    return torch.logsumexp(filled, dim=dim).masked_fill(empty, 0.0)
