"""Find the hardest pairs without autograd: a loss then computes only the selected distances with it."""

from typing import Literal, NamedTuple

import torch
from torch import Tensor

from quaterion.functional.comparison import Comparison
from quaterion.functional.row_blocks import row_blocks
from quaterion.functional.similarity import closeness_matrix, prepared_distance

__all__ = ["HardestDistances", "hardest_distances", "nearest_negative_distances"]

# Elements per block: small enough that a block stays in a core's cache between the product and both searches.
MINING_BLOCK = 2**21
_PIECE = 64

Kind = Literal["positive", "negative"]


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


def hardest_distances(comparison: Comparison) -> HardestDistances:
    """Compute, with autograd, each anchor's distances to its farthest positive and nearest negative.

    Args:
        comparison: Anchors and candidates, at least one of each.

    Returns:
        The distances, and where they mean something.
    """
    found = _mine(comparison, ("positive", "negative"))
    # Both kinds at once, [2, n, D], which halves the number of passes over the anchors' gradient.
    chosen = comparison.candidates.index_select(0, found.rows.flatten()).view(2, *comparison.anchors.shape)
    distances = prepared_distance(comparison.anchors, chosen, comparison.metric)
    return HardestDistances(*distances, *found.exists)


def nearest_negative_distances(comparison: Comparison) -> tuple[Tensor, Tensor]:
    """Compute, with autograd, each anchor's distance to its nearest negative.

    Args:
        comparison: Anchors and candidates, at least one of each.

    Returns:
        `[n]` distances, any finite value where there is no negative, and `[n]` bool, where there is one.
    """
    found = _mine(comparison, ("negative",))
    chosen = comparison.candidates.index_select(0, found.rows[0])
    return prepared_distance(comparison.anchors, chosen, comparison.metric), found.exists[0]


class _Mined(NamedTuple):
    rows: Tensor  # [kinds, n] rows of the candidates
    exists: Tensor  # [kinds, n] bool


def _mine(comparison: Comparison, kinds: tuple[Kind, ...]) -> _Mined:
    anchors, candidates, metric = comparison.anchors, comparison.candidates, comparison.metric
    # Filled in place: small results that outlive each block, between the large blocks that do not, would keep the
    # allocator from using the same memory again.
    rows = torch.zeros(len(kinds), anchors.shape[0], dtype=torch.int64, device=anchors.device)
    exists = torch.zeros_like(rows, dtype=torch.bool)
    with torch.no_grad():
        for start, stop in row_blocks(*comparison.shape, MINING_BLOCK):
            closeness = closeness_matrix(anchors[start:stop], candidates, metric)
            masks = comparison.masks(start, stop)
            for k, kind in enumerate(kinds):
                if kind == "positive":
                    outside = torch.inf
                    eligible = torch.where(masks.positive, closeness, outside)
                else:  # the last one, which may overwrite the product: fresh memory costs more than the comparison
                    outside = -torch.inf
                    eligible = closeness.masked_fill_(~masks.negative, outside)
                extremes = _row_extremes(eligible, largest=kind == "negative")
                rows[k, start:stop] = extremes.indices
                exists[k, start:stop] = extremes.values != outside
    return _Mined(rows, exists)


class _Extremes(NamedTuple):
    values: Tensor
    indices: Tensor


def _row_extremes(values: Tensor, *, largest: bool) -> _Extremes:
    """Find the maximum or minimum of each row and its column, as `values.max(dim=1)` does, but faster on a CPU.

    There the search for an index is not vectorised, but that for a value is: the extremes of short pieces are found
    first, and indices are searched among the pieces and within the best piece only.
    """
    rows, columns = values.shape
    whole = columns // _PIECE * _PIECE
    if values.device.type != "cpu" or columns < 4 * _PIECE:
        return _Extremes(*(values.max(dim=1) if largest else values.min(dim=1)))
    pieces = values[:, :whole].reshape(rows, -1, _PIECE)
    best = pieces.amax(dim=2) if largest else pieces.amin(dim=2)  # [rows, pieces]
    piece = best.argmax(dim=1, keepdim=True) if largest else best.argmin(dim=1, keepdim=True)
    within = pieces.gather(1, piece.unsqueeze(2).expand(rows, 1, _PIECE)).squeeze(1)
    column = within.argmax(dim=1, keepdim=True) if largest else within.argmin(dim=1, keepdim=True)
    found = _Extremes(best.gather(1, piece).squeeze(1), (piece * _PIECE + column).squeeze(1))
    if whole == columns:
        return found
    rest = values[:, whole:].max(dim=1) if largest else values[:, whole:].min(dim=1)
    better = rest.values > found.values if largest else rest.values < found.values
    return _Extremes(
        torch.where(better, rest.values, found.values), torch.where(better, whole + rest.indices, found.indices)
    )
