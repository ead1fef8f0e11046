"""The search behind mining: the nearest documents that may be negatives, in blocks of bounded memory."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from quaterion.eval.mining_pool import Exclusions
from quaterion.functional.similarity import prepare
from quaterion.functional.topk import Advance, nearest, nearness_blocks, similarity_of

__all__ = ["Margins", "nearest_negatives"]

Reject = Callable[[int, int], bool]
"""Whether a document, by its row, is no negative of a sample, by its number."""


class Margins(NamedTuple):
    """How much less similar than the positive a negative has to be, so that it is none that was overlooked.

    Args:
        absolute: At most the positive's similarity less this; None for no such bound.
        relative: At most the positive's similarity less this share of its size; None for no such bound.
    """

    absolute: float | None = None
    relative: float | None = None

    def limit(self, positive: Tensor) -> Tensor | None:
        """The largest similarity that a negative may have.

        Args:
            positive: Similarities of positives.

        Returns:
            Of the same shape, None where there is no bound.

        Example:
            >>> Margins(absolute=0.1, relative=0.5).limit(torch.tensor([0.8, 0.1, -0.5]))
            tensor([ 0.4000,  0.0000, -0.7500])
        """
        limits = []
        if self.absolute is not None:
            limits.append(positive - self.absolute)
        if self.relative is not None:
            # (1 − relative) · positive, and below a negative similarity too, where that would be above it.
            limits.append(positive - self.relative * positive.abs())
        if not limits:
            return None
        return limits[0] if len(limits) == 1 else torch.minimum(*limits)


@torch.no_grad()
def nearest_negatives(
    queries: Tensor,
    documents: Tensor,
    *,
    query_rows: Tensor,
    positive_rows: Tensor,
    exclusions: Exclusions,
    k: int,
    metric: str,
    margins: Margins,
    skip_top: int = 0,
    reject: Reject | None = None,
    max_entries: int | None = None,
    advance: Advance | None = None,
) -> Tensor:
    """Finds the nearest documents of each sample's query that may be negatives.

    What `exclusions` and `reject` name is no candidate. Of the candidates, nearest first, the first `skip_top` are
    passed over, then those above the limit of `margins`; the next k are taken.

    Args:
        queries: `[U, D]`.
        documents: `[N, D]`.
        query_rows: Row of each of P samples' query, `[P]`.
        positive_rows: Row of each of P samples' positive among the documents, `[P]`.
        exclusions: Documents that are known to be no negatives.
        k: Negatives to find.
        metric: One of `quaterion.functional.similarity.METRICS`.
        margins: Distance to keep from the positive.
        skip_top: Leading candidates to pass over.
        reject: Says of single documents whether they are no negatives of a sample; called for as few as needed.
        max_entries: Bound on a block's entries. By default blocks have up to 512 rows and 256 MiB, or 32 rows where
            those are more.
        advance: Called with the number of samples in each block that was searched.

    Returns:
        Rows of documents, int64 `[P, k]`, nearest first; −1 behind the last where there are fewer.
    """
    prepared = prepare(documents, metric)
    found = torch.full((len(query_rows), k), -1)
    depth = k + skip_top
    for samples, block in nearness_blocks(
        queries, query_rows, prepared, metric, depth=depth, max_entries=max_entries
    ):  # [B, N]
        positive = block.gather(1, positive_rows[samples].to(block.device).unsqueeze(1))  # [B, 1]
        limit = margins.limit(similarity_of(positive, metric))
        exclusions.hide(block, samples)
        asking = None if reject is None else _Asking(reject, samples.tolist())
        if skip_top:
            _take(block, skip_top, asking)
        if limit is not None:
            block.masked_fill_(similarity_of(block, metric) > limit, -torch.inf)
        found[samples] = _take(block, k, asking).cpu()
        if advance is not None:
            advance(len(samples))
    return found


class _Asking:
    """Asks about each document of a block once at most.

    Args:
        reject: See `Reject`.
        samples: Number of the sample in each row of the block.
    """

    def __init__(self, reject: Reject, samples: list[int]) -> None:
        self._reject, self._samples = reject, samples
        self._answers: dict[tuple[int, int], bool] = {}

    def rejects(self, row: int, column: int) -> bool:
        """Whether a column of the block is no negative of a row's sample."""
        answer = self._answers.get((row, column))
        if answer is None:
            answer = self._answers[row, column] = bool(self._reject(self._samples[row], column))
        return answer


def _take(block: Tensor, count: int, asking: _Asking | None) -> Tensor:
    """Columns of the nearest candidates `[B, count]`, −1 where there are fewer; hides them in the block."""
    count_or_all = min(count, block.shape[1])
    if asking is None:
        values, columns = nearest(block, count_or_all)
        columns = columns.masked_fill(values == -torch.inf, -1)
    else:
        columns = _accepted(block, count_or_all, asking)
    rows, places = (columns >= 0).nonzero(as_tuple=True)
    block[rows, columns[rows, places]] = -torch.inf
    return columns


def _accepted(block: Tensor, count: int, asking: _Asking) -> Tensor:
    """The first columns of each row that are not rejected; looks deeper only where too many were."""
    taken = torch.full((len(block), count), -1, dtype=torch.int64)
    waiting = list(range(len(block)))
    depth = count
    while waiting:
        values, columns = (part.tolist() for part in nearest(block[waiting] if depth > count else block, depth))
        unfinished = []
        for row, row_values, row_columns in zip(waiting, values, columns, strict=True):
            kept: list[int] = []
            for value, column in zip(row_values, row_columns, strict=True):
                if len(kept) == count or value == -torch.inf:
                    break
                if not asking.rejects(row, column):
                    kept.append(column)
            if len(kept) < count and row_values[-1] > -torch.inf and depth < block.shape[1]:
                unfinished.append(row)
            else:
                taken[row, : len(kept)] = torch.tensor(kept, dtype=torch.int64)
        waiting, depth = unfinished, min(4 * depth, block.shape[1])
    return taken.to(block.device)
