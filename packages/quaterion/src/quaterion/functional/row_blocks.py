"""Work on a large similarity matrix a few rows at a time, with gradients."""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

__all__ = ["GRADIENT_BLOCK", "WHOLE_MATRIX", "gradient_blocks", "row_blocks", "sum_over_rows"]

# Up to this many elements (4,096 × 4,096) a matrix is kept for the backward pass, and nothing is computed twice.
WHOLE_MATRIX = 2**24
# Beyond, elements per block: 16 MiB in float32, which the allocator reuses instead of asking the system each time.
GRADIENT_BLOCK = 2**22


def row_blocks(rows: int, columns: int, elements: int) -> Iterator[tuple[int, int]]:
    """Cut the rows of a matrix so that no block has more than a number of elements.

    Args:
        rows: Rows of the matrix.
        columns: Columns of the matrix.
        elements: The most elements in a block; a block has at least one row.

    Yields:
        First row and the row after the last, of each block.

    Example:
        >>> list(row_blocks(5, 10, elements=20))
        [(0, 2), (2, 4), (4, 5)]
    """
    step = max(1, elements // max(1, columns))
    for start in range(0, rows, step):
        yield start, min(start + step, rows)


def gradient_blocks(rows: int, columns: int) -> list[tuple[int, int]]:
    """Cut the rows of a matrix that takes part in a backward pass: not at all, or into blocks worth computing twice.

    Args:
        rows: Rows of the matrix.
        columns: Columns of the matrix.

    Returns:
        First row and the row after the last, of each block.
    """
    return list(row_blocks(rows, columns, WHOLE_MATRIX if rows * columns <= WHOLE_MATRIX else GRADIENT_BLOCK))


def sum_over_rows(part: Callable[[int, int], tuple[Tensor, ...]], rows: int, columns: int) -> tuple[Tensor, ...]:
    """Add up what a function computes for each block of rows, and keep no large matrix for the backward pass.

    Where the rows need more than one block, each block's intermediate results are computed again during the
    backward pass, so that the memory is that of one block.

    Args:
        part: Takes the first row and the row after the last, returns scalars to add up.
        rows: Rows of the matrix, at least 1.
        columns: Columns of the matrix.

    Returns:
        The sums.
    """
    (start, stop), *others = gradient_blocks(rows, columns)
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
