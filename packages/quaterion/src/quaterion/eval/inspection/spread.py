"""Whether a model maps all objects to nearly the same direction, or to few of them."""

from dataclasses import dataclass

import torch
from torch import Tensor

from quaterion.eval.tasks import checked_embeddings
from quaterion.functional.row_blocks import row_blocks
from quaterion.functional.similarity import normalize

__all__ = ["Collapse", "collapse", "mean_cosine"]

BLOCK_ENTRIES = 2**22
"""Entries of the embeddings that are widened to float64 at a time."""

COLLAPSED_COSINE = 0.99
"""Mean cosine from which on embeddings count as collapsed. Untouched encoders reach 0.9 and can be trained."""


@dataclass(frozen=True)
class Collapse:
    """How far embeddings are spread over directions.

    Args:
        mean_cosine: Mean cosine of two different objects: near 0 where directions are spread, 1 where all are equal.
        effective_rank: Number of directions that the unit embeddings use, in [0, min(N, D)]; 0 where all are zero.
        num_zero: Embeddings of length zero, which have no direction.
        num_objects: N.
        dimension: D.
    """

    mean_cosine: float
    effective_rank: float
    num_zero: int
    num_objects: int
    dimension: int

    @property
    def collapsed(self) -> bool:
        """Whether nearly all embeddings have one direction, or none."""
        return self.mean_cosine >= COLLAPSED_COSINE or self.num_zero == self.num_objects


@torch.no_grad()
def collapse(embeddings: Tensor) -> Collapse:
    """Measures how far embeddings are spread over directions, exactly, in time linear in their number.

    The effective rank is exp(−Σ p_i log p_i) with p_i the singular values of the matrix of unit embeddings, divided by
    their sum: D where all directions are used alike, 1 where there is only one.

    Args:
        embeddings: `[N, D]`, of two objects or more.

    Returns:
        The measures.

    Raises:
        ValueError: The shape is another, an embedding is not finite, or there are fewer than two.

    Papers: Roy and Vetterli, The effective rank (EUSIPCO 2007); Garrido et al., RankMe, arXiv 2210.02885.

    Example:
        >>> spread = collapse(torch.eye(4))
        >>> round(spread.mean_cosine, 3), round(spread.effective_rank, 3), spread.collapsed
        (0.0, 4.0, False)
        >>> one_point = collapse(torch.tensor([[3.0, 4.0], [6.0, 8.0], [3.0, 4.0]]))
        >>> round(one_point.mean_cosine, 3), round(one_point.effective_rank, 3), one_point.collapsed
        (1.0, 1.0, True)
    """
    embeddings = _checked(embeddings)
    count, dimension = embeddings.shape
    # Both products have the same non-zero eigenvalues, the squared singular values; the smaller one is made.
    size = min(count, dimension)
    gram = torch.zeros((size, size), dtype=torch.float64)
    if count <= dimension:
        unit = _unit(embeddings)
        gram = unit @ unit.T
    else:
        for start, stop in row_blocks(count, dimension, BLOCK_ENTRIES):
            unit = _unit(embeddings[start:stop])
            gram += unit.T @ unit
    squared = torch.linalg.eigvalsh(gram)
    # Below this they are rounding errors, whose roots would count.
    noise = squared.amax().clamp(min=0) * max(count, dimension) * torch.finfo(torch.float64).eps
    values = squared[squared > noise].sqrt()
    shares = values / values.sum()
    rank = float(torch.exp(-(shares * shares.log()).sum())) if len(values) else 0.0
    mean, num_zero = _mean_cosine(embeddings)
    return Collapse(mean, rank, num_zero, count, dimension)


@torch.no_grad()
def mean_cosine(embeddings: Tensor) -> float:
    """Mean cosine of two different objects, in time linear in their number.

    Args:
        embeddings: `[N, D]`, of two objects or more. The cosine to an embedding of length zero is 0.

    Raises:
        ValueError: The shape is another, an embedding is not finite, or there are fewer than two.

    Example:
        >>> mean_cosine(torch.tensor([[1.0, 0.0], [2.0, 0.0], [0.0, 1.0]]))  # of 1, 0 and 0
        0.333...
    """
    return _mean_cosine(_checked(embeddings))[0]


def _mean_cosine(embeddings: Tensor) -> tuple[float, int]:
    """The mean cosine, and the number of embeddings of length zero."""
    count, dimension = embeddings.shape
    total = torch.zeros(dimension, dtype=torch.float64)
    own = torch.zeros((), dtype=torch.float64)
    num_zero = 0
    for start, stop in row_blocks(count, dimension, BLOCK_ENTRIES):
        unit = _unit(embeddings[start:stop])
        lengths = unit.square().sum(dim=1)
        total, own, num_zero = total + unit.sum(dim=0), own + lengths.sum(), num_zero + int((lengths == 0).sum())
    # The squared length of the sum of all is the sum of all cosines, those with themselves included.
    return float((total.square().sum() - own) / (count * (count - 1))), num_zero


def _unit(embeddings: Tensor) -> Tensor:
    return normalize(embeddings.cpu().double())


def _checked(embeddings: Tensor) -> Tensor:
    embeddings = checked_embeddings(embeddings)
    if len(embeddings) < 2:
        raise ValueError("There is 1 embedding; expected two or more: whether objects differ shows in pairs of them.")
    return embeddings
