"""Exact search by faiss, as its flat index does it, and which of its answers a tie leaves to chance."""

import importlib.util
import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from quaterion_models.extras import require

__all__ = ["FaissTopK", "faiss_refusal", "faiss_top_k"]

CHUNK_ROWS = 16_384
"""Queries that are searched at a time: their answers are copied, and the copies are small."""


class FaissTopK(NamedTuple):
    """What faiss finds.

    Args:
        similarities: float32 `[Q, k]`, nearest first.
        rows: int64 `[Q, k]`; of equal similarities the lower row first.
        doubtful: bool `[Q]`: whether candidates beyond the k are as similar as the last one, so that faiss took any of
            them.
    """

    similarities: Tensor
    rows: Tensor
    doubtful: Tensor


def faiss_refusal(queries: Tensor, candidates: Tensor, metric: str, *, must_be_there: bool) -> str | None:
    """Why faiss cannot search something, or None if it can.

    Args:
        queries: `[Q, D]`.
        candidates: `[N, D]`.
        metric: One of `quaterion.functional.similarity.METRICS`.
        must_be_there: Raise where faiss is not installed, instead of saying so.

    Raises:
        ImportError: faiss is not installed, and must be there.
    """
    if metric not in ("cosine", "dot_product"):
        return f"its index of inner products knows no {metric} similarity"
    if queries.device.type != "cpu" or candidates.device.type != "cpu":
        return f"the vectors are on {candidates.device}, and it searches on the CPU"
    if torch.float64 in (queries.dtype, candidates.dtype):
        return "it computes in float32, and the vectors are float64"
    if must_be_there:
        _faiss()
    return None if importlib.util.find_spec("faiss") is not None else "it is not installed"


def faiss_top_k(
    queries: Tensor,
    candidates: Tensor,
    k: int,
    own_rows: Tensor | None = None,
    advance: Callable[[int], object] | None = None,
) -> FaissTopK:
    """Finds the k candidates of largest dot product with each query.

    faiss keeps, of candidates that are equally similar, any. One more than the k (and a query's own row) is
    asked for, so that a tie that reaches beyond the k is seen.

    Args:
        queries: float32 `[Q, D]`, on the CPU.
        candidates: float32 `[N, D]`, on the CPU.
        k: Number of candidates to find, at most N, or N − 1 with `own_rows`.
        own_rows: Row of each query among the candidates `[Q]`: it is left out.
        advance: Called with the number of queries in each part that was searched.

    Returns:
        The nearest candidates, and which queries' are in doubt.
    """
    faiss = _faiss()
    # What IndexFlatIP does, without the copy of the candidates that an index holds.
    vectors = candidates.contiguous().numpy()
    asked = min(len(candidates), k + 1 + (own_rows is not None))
    parts = []
    for numbers in torch.split(torch.arange(len(queries)), CHUNK_ROWS):
        values, rows = faiss.knn(queries[numbers].contiguous().numpy(), vectors, asked, faiss.METRIC_INNER_PRODUCT)
        own = None if own_rows is None else own_rows[numbers]
        parts.append(_in_order(torch.from_numpy(values), torch.from_numpy(rows), k, own))
        if advance is not None:
            advance(len(numbers))
    if not parts:
        return FaissTopK(torch.empty((0, k)), torch.empty((0, k), dtype=torch.int64), torch.empty(0, dtype=torch.bool))
    return FaissTopK(*(torch.cat(fields) for fields in zip(*parts, strict=True)))


def _in_order(values: Tensor, rows: Tensor, k: int, own: Tensor | None) -> FaissTopK:
    if own is not None:
        values = values.masked_fill(rows == own.unsqueeze(1), -torch.inf)
    rows, order = rows.sort(dim=1)
    values, order = values.gather(1, order).sort(dim=1, descending=True, stable=True)
    rows = rows.gather(1, order)
    beyond = values[:, k:] == values[:, k - 1 : k]
    return FaissTopK(values[:, :k].contiguous(), rows[:, :k].contiguous(), beyond.any(dim=1))


def _faiss() -> Any:
    with warnings.catch_warnings():
        # Its generated bindings warn of Python's own plans when they are imported.
        warnings.simplefilter("ignore", DeprecationWarning)
        return require("faiss", extra="faiss", distribution="quaterion")
