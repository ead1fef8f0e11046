"""The nearest candidates of each query, exactly, in blocks of bounded memory."""

from typing import NamedTuple

import torch
from torch import Tensor

from quaterion.functional.rounded_similarity import rows_at_once
from quaterion.functional.similarity import prepare, prepared_similarity_matrix

__all__ = ["TopK", "top_k"]


class TopK(NamedTuple):
    """The nearest candidates of Q queries, nearest first.

    Args:
        similarities: `[Q, k]`.
        rows: Row of each among the candidates, int64 `[Q, k]`.
    """

    similarities: Tensor
    rows: Tensor


def top_k(
    queries: Tensor,
    candidates: Tensor,
    k: int,
    *,
    metric: str = "cosine",
    own_rows: Tensor | None = None,
    max_entries: int | None = None,
) -> TopK:
    """Finds the k candidates of largest similarity to each query.

    Args:
        queries: `[Q, D]`.
        candidates: `[N, D]`.
        k: Number of candidates to find.
        metric: One of `quaterion.functional.similarity.METRICS`.
        own_rows: Where queries are candidates too, the row of each among them `[Q]`: it is left out, by
            number.
        max_entries: Bound on a block's entries, see `rows_at_once`.

    Returns:
        Similarities and rows. Of equal similarities the lower row comes first.

    Raises:
        ValueError: k is below 1 or above the number of candidates.

    Example:
        >>> points = torch.tensor([[1.0, 0.0], [0.0, 1.0], [2.0, 1.0], [4.0, 2.0]])
        >>> top_k(points[:1], points, 2, own_rows=torch.tensor([0])).rows
        tensor([[2, 3]])
    """
    available = len(candidates) - (own_rows is not None)
    if not 1 <= k <= available:
        raise ValueError(f"k={k}, but there are {available} candidates. Expected k in 1..{available}.")
    prepared = prepare(candidates, metric)
    found = []
    for rows in torch.split(
        torch.arange(len(queries), device=queries.device), rows_at_once(len(candidates), k, max_entries)
    ):
        block = prepared_similarity_matrix(prepare(queries[rows], metric), prepared, metric)  # [B, N]
        if own_rows is not None:
            block.scatter_(1, own_rows[rows].unsqueeze(1), -torch.inf)
        found.append(_nearest(block, k))
    if not found:
        return TopK(prepared.new_empty((0, k)), torch.empty((0, k), dtype=torch.int64, device=prepared.device))
    return TopK(torch.cat([part.similarities for part in found]), torch.cat([part.rows for part in found]))


def _nearest(block: Tensor, k: int) -> TopK:
    values, columns = block.topk(k, dim=1)
    # torch.topk takes any of equal candidates. Within the k their order is mended here; where a tie reaches
    # beyond the k (rare, and seen by one comparison), the whole row is sorted.
    columns, order = columns.sort(dim=1)
    values, order = values.gather(1, order).sort(dim=1, descending=True, stable=True)
    columns = columns.gather(1, order)
    cut = ((block >= values[:, -1:]).sum(dim=1, dtype=torch.int32) > k).nonzero().squeeze(1)
    if len(cut):
        sorted_values, sorted_columns = block[cut].sort(dim=1, descending=True, stable=True)
        values[cut], columns[cut] = sorted_values[:, :k], sorted_columns[:, :k]
    return TopK(values, columns)
