"""Find the hardest pairs without autograd: a loss then computes only the selected distances with it."""

from typing import NamedTuple

import torch
from torch import Tensor

from quaterion.functional.comparison import Comparison
from quaterion.functional.row_blocks import row_blocks
from quaterion.functional.similarity import closeness_matrix, prepared_distance

__all__ = ["HardestDistances", "HardestPairs", "hardest_distances", "hardest_pairs"]

# Elements per block: small enough that a block stays in a core's cache between the product and both searches.
MINING_BLOCK = 2**20


class HardestPairs(NamedTuple):
    """Of each anchor the farthest positive and the nearest negative.

    Attributes:
        positive: `[n]` int64 rows of the candidates; any row where there is no positive.
        negative: `[n]` int64 rows of the candidates; any row where there is no negative.
        has_positive: `[n]` bool.
        has_negative: `[n]` bool.
    """

    positive: Tensor
    negative: Tensor
    has_positive: Tensor
    has_negative: Tensor


class HardestDistances(NamedTuple):
    """Of each anchor the distances to its farthest positive and to its nearest negative.

    Attributes:
        positive: `[n]`; any finite value where there is no positive.
        negative: `[n]`; any finite value where there is no negative.
        has_positive: `[n]` bool.
        has_negative: `[n]` bool.
    """

    positive: Tensor
    negative: Tensor
    has_positive: Tensor
    has_negative: Tensor


def hardest_pairs(comparison: Comparison) -> HardestPairs:
    """Find each anchor's farthest positive and nearest negative; ties go to any of the equals.

    Args:
        comparison: Anchors and candidates, at least one of each.

    Returns:
        Rows of the candidates.
    """
    found: list[tuple[Tensor, Tensor, Tensor, Tensor]] = []
    with torch.no_grad():
        for start, stop in row_blocks(*comparison.shape, MINING_BLOCK):
            closeness = closeness_matrix(comparison.anchors[start:stop], comparison.candidates, comparison.metric)
            masks = comparison.masks(start, stop)
            farthest = closeness.masked_fill(~masks.positive, torch.inf).min(dim=1)
            nearest = closeness.masked_fill(~masks.negative, -torch.inf).max(dim=1)
            found.append((farthest.indices, nearest.indices, farthest.values < torch.inf, nearest.values > -torch.inf))
    return HardestPairs(*(torch.cat(parts) for parts in zip(*found, strict=True)))


def hardest_distances(comparison: Comparison) -> HardestDistances:
    """Compute, with autograd, each anchor's distances to its farthest positive and nearest negative.

    Args:
        comparison: Anchors and candidates, at least one of each.

    Returns:
        The distances, and where they mean something.
    """
    mined = hardest_pairs(comparison)
    anchors, candidates, metric = comparison.anchors, comparison.candidates, comparison.metric
    return HardestDistances(
        prepared_distance(anchors, candidates.index_select(0, mined.positive), metric),
        prepared_distance(anchors, candidates.index_select(0, mined.negative), metric),
        mined.has_positive,
        mined.has_negative,
    )
