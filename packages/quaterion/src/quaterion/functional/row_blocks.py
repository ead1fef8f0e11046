"""Work on a large similarity matrix a few rows at a time, with gradients."""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

__all__ = ["GRADIENT_BLOCK", "row_blocks", "sum_over_rows"]

# Matrix elements per block, 64 MiB in float32: batches up to 4,096 × 4,096 are one block and recompute
# nothing.
GRADIENT_BLOCK = 2**24


def row_blocks(rows: int, columns: int, elements: int | None = None) -> Iterator[tuple[int, int]]:
    """Cut the rows of a matrix so that no block has more than a number of elements.

    Args:
        rows: Rows of the matrix.
        columns: Columns of the matrix.
        elements: The most elements in a block, `GRADIENT_BLOCK` where omitted; a block has at least one row.

    Yields:
        First row and the row after the last, of each block.

    Example:
        >>> list(row_blocks(5, 10, elements=20))
        [(0, 2), (2, 4), (4, 5)]
    """
    step = max(1, (elements or GRADIENT_BLOCK) // max(1, columns))
    for start in range(0, rows, step):
        yield start, min(start + step, rows)


def sum_over_rows(
    part: Callable[[int, int], tuple[Tensor, ...]],
    rows: int,
    columns: int,
    elements: int | None = None,
) -> tuple[Tensor, ...]:
    """Add up what a function computes for each block of rows, and keep no matrix for the backward pass.

    Where the rows need more than one block, each block's intermediate results are computed again during the
    backward pass, so that the memory is that of one block.

    Args:
        part: Takes the first row and the row after the last, returns scalars to add up.
        rows: Rows of the matrix, at least 1.
        columns: Columns of the matrix.
        elements: The most elements in a block, `GRADIENT_BLOCK` where omitted.

    Returns:
        The sums.
    """
    (start, stop), *others = row_blocks(rows, columns, elements)
    if not others:
        return part(start, stop)
    totals = _recomputed(part, start, stop)
    for start, stop in others:
        totals = tuple(a + b for a, b in zip(totals, _recomputed(part, start, stop), strict=True))
    return totals


def _recomputed(part: Callable[[int, int], tuple[Tensor, ...]], start: int, stop: int) -> tuple[Tensor, ...]:
    if not torch.is_grad_enabled():
        return part(start, stop)
    values: tuple[Tensor, ...] = checkpoint(part, start, stop, use_reentrant=False, preserve_rng_state=False)
    return values
