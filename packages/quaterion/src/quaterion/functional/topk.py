"""The nearest candidates of each query, exactly, in blocks of bounded memory."""

from collections.abc import Callable, Iterator
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from quaterion.functional.faiss_search import faiss_refusal, faiss_top_k
from quaterion.functional.rounded_similarity import rows_at_once
from quaterion.functional.similarity import prepare, prepared_distance_matrix

__all__ = ["Advance", "Backend", "TopK", "nearest", "nearness_blocks", "similarity_of", "top_k"]

Backend = Literal["torch", "faiss", "auto"]

Advance = Callable[[int], object]
"""Called with the number of queries that were searched since the last call: what a progress bar asks for."""

ROWS = 512
"""Queries in a block: enough that reading the candidates for each block costs little beside the products."""

MOST_ENTRIES = 2**26
"""Entries that a block of that many rows may have: 256 MiB of float32."""

STRIPE = 32
"""Columns whose maximum is looked at first: a search for the k largest of 1/32 of the entries."""


class TopK(NamedTuple):
    """The nearest candidates of Q queries, nearest first.

    Attributes:
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
    backend: Backend = "torch",
    advance: Advance | None = None,
) -> TopK:
    """Finds the k candidates of largest similarity to each query.

    Similarities are matrix products in the vectors' own precision (at least float32): candidates that differ by less
    than its rounding may change places, also between backends.

    Args:
        queries: `[Q, D]`, finite.
        candidates: `[N, D]`, finite.
        k: Number of candidates to find.
        metric: One of `quaterion.functional.similarity.METRICS`.
        own_rows: Where queries are candidates too, the row of each among them `[Q]`: it is left out, by
            number.
        max_entries: Bound on a block's entries. By default blocks have up to 512 rows and 256 MiB, or 32 rows where
            those are more.
        backend: What searches. "torch" needs nothing else; "faiss" is a flat index of that library
            (`pip install "quaterion[faiss]"`), for float32 vectors on the CPU by cosine or dot product; "auto" is
            torch where it has the products of MKL or a GPU, which are the faster ones (`benchmarks/evaluation.py`),
            else faiss where it is installed and can do it.
        advance: Called with the number of queries in each block that was searched.

    Returns:
        Similarities and rows. Of equal similarities the lower row comes first, with either backend: faiss itself
        keeps any of equal candidates, so those it may have chosen by chance are searched again.

    Raises:
        ValueError: k is below 1 or above the number of candidates, a vector is not finite, or faiss cannot do it.
        ImportError: faiss is asked for and not installed.

    Example:
        >>> points = torch.tensor([[1.0, 0.0], [0.0, 1.0], [2.0, 1.0], [4.0, 2.0]])
        >>> top_k(points[:1], points, 2, own_rows=torch.tensor([0])).rows
        tensor([[2, 3]])
    """
    available = len(candidates) - (own_rows is not None)
    if not 1 <= k <= available:
        raise ValueError(f"k={k}, but there are {available} candidates. Expected k in 1..{available}.")
    for name, vectors in (("queries", queries), ("candidates", candidates)):
        _check_finite(name, vectors)
    candidates = prepare(candidates.detach(), metric)
    queries = queries.detach()
    if _by_faiss(backend, queries, candidates, metric):
        return _search_by_faiss(queries, candidates, k, metric, own_rows, max_entries, advance)
    return _search(queries, candidates, k, metric, own_rows, max_entries, advance)


def _search(
    queries: Tensor,
    prepared: Tensor,
    k: int,
    metric: str,
    own_rows: Tensor | None,
    max_entries: int | None,
    advance: Advance | None = None,
) -> TopK:
    similarities = prepared.new_empty((len(queries), k), dtype=torch.promote_types(queries.dtype, prepared.dtype))
    found = TopK(similarities, torch.empty_like(similarities, dtype=torch.int64))
    everyone = torch.arange(len(queries), device=queries.device)
    for rows, block in nearness_blocks(queries, everyone, prepared, metric, depth=k, max_entries=max_entries):
        if own_rows is not None:
            block.scatter_(1, own_rows[rows].unsqueeze(1), -torch.inf)
        values, found.rows[rows] = nearest(block, k)
        found.similarities[rows] = similarity_of(values, metric)
        if advance is not None:
            advance(len(rows))
    return found


def nearness_blocks(
    queries: Tensor,
    query_rows: Tensor,
    prepared: Tensor,
    metric: str,
    *,
    depth: int,
    max_entries: int | None = None,
) -> Iterator[tuple[Tensor, Tensor]]:
    """How near all candidates are to each query, a block of queries at a time.

    Args:
        queries: `[U, D]`.
        query_rows: Row of each of Q queries, `[Q]`.
        prepared: Candidates `[N, D]`, from `quaterion.functional.similarity.prepare`.
        metric: One of `quaterion.functional.similarity.METRICS`.
        depth: Candidates that are wanted of each query.
        max_entries: Bound on a block's entries, see `top_k`.

    Yields:
        Numbers of a block's queries `[B]`, on the device of `query_rows`, and for each the similarities of the
        candidates, or the negatives of their distances where those are what the similarity is made of; `[B, N]`, and
        overwritten by the next block.
    """
    step = _rows_of_block(len(prepared), depth, max_entries)
    prepared = prepared.to(torch.promote_types(queries.dtype, prepared.dtype))
    buffer = None
    for numbers in torch.split(torch.arange(len(query_rows), device=query_rows.device), step):
        block = prepare(queries[query_rows[numbers].to(queries.device)].to(prepared.dtype), metric)
        if metric not in ("cosine", "dot_product"):
            # Of a short distance d, 1 / (1 + d) would keep few digits.
            yield numbers, prepared_distance_matrix(block, prepared, metric).neg_()
            continue
        # Into one buffer: a new block each time would cost the system as much as zeroing it.
        if buffer is None:
            buffer = block.new_empty((min(step, len(query_rows)), len(prepared)))
        yield numbers, _product_into(buffer[: len(numbers)], block, prepared)


def similarity_of(nearness: Tensor, metric: str) -> Tensor:
    """The similarities that entries of `nearness_blocks` stand for.

    Args:
        nearness: Of any shape.
        metric: One of `quaterion.functional.similarity.METRICS`.

    Example:
        >>> similarity_of(torch.tensor([-3.0, 0.0]), "euclidean")
        tensor([0.2500, 1.0000])
    """
    return nearness if metric in ("cosine", "dot_product") else 1.0 / (1.0 - nearness)


def _product_into(buffer: Tensor, x: Tensor, y: Tensor) -> Tensor:
    with torch.autocast(x.device.type, enabled=False):
        return torch.mm(x, y.T, out=buffer)


def _rows_of_block(num_candidates: int, k: int, max_entries: int | None) -> int:
    if max_entries is not None:
        return rows_at_once(num_candidates, k, max_entries)
    return max(rows_at_once(num_candidates, k), min(ROWS, MOST_ENTRIES // max(1, num_candidates)))


def nearest(block: Tensor, k: int) -> TopK:
    """The k largest entries of each row, largest first, and of equal ones the leftmost.

    Args:
        block: `[B, N]`; minus infinity is never among the largest while anything else is left.
        k: Number to find, at most N.

    Returns:
        Values and columns. Where minus infinity is among the values, its columns have no meaning.

    Example:
        >>> nearest(torch.tensor([[1.0, 3.0, 2.0, 3.0, 2.0]]), 3).rows
        tensor([[1, 3, 2]])
    """
    width = block.shape[1] // STRIPE
    if width < 4 * k:  # nearly all columns would have to be looked at again
        values, columns = block.topk(k, dim=1)
        more = (block >= values[:, -1:]).sum(dim=1, dtype=torch.int32) > k
    else:
        # The k largest entries lie in the k stripes of largest maximum, or in the columns beyond the last stripe.
        # Stripe i holds the columns i, i + width, i + 2 · width, …: maxima across rows of memory are fast.
        maxima = block[:, : STRIPE * width].view(-1, STRIPE, width).amax(dim=1)  # [B, width]
        stripes = maxima.topk(k, dim=1, sorted=False).indices
        inside = torch.arange(STRIPE, device=block.device) * width
        beyond = torch.arange(STRIPE * width, block.shape[1], device=block.device)
        columns = (stripes.unsqueeze(2) + inside).flatten(1)  # [B, k · STRIPE]
        columns = torch.cat([columns, beyond.expand(len(block), -1)], dim=1)
        entries = block.gather(1, columns)
        values, places = entries.topk(k, dim=1)
        columns = columns.gather(1, places)
        last = values[:, -1:]
        # An equal of the last one may be among the entries that were looked at, or in another stripe.
        more = ((entries >= last).sum(dim=1) > k) | ((maxima >= last).sum(dim=1) > k)
    # torch.topk takes any of equal entries. Within the k their order is mended here; rows where a tie reaches beyond
    # the k are gone through from the left.
    columns, order = columns.sort(dim=1)
    values, order = values.gather(1, order).sort(dim=1, descending=True, stable=True)
    columns = columns.gather(1, order)
    cut = (more & (values[:, -1] > -torch.inf)).nonzero().squeeze(1)
    for rows in torch.split(cut, max(1, len(block) // 8)):
        values[rows], columns[rows] = _first_of_equals(block[rows], values[rows, -1:], k)
    return TopK(values, columns)


def _first_of_equals(block: Tensor, last: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """The k largest entries of each row, given the smallest of them: all larger ones, and the first that equal it."""
    larger, equal = block > last, block == last
    wanted = k - larger.sum(dim=1, keepdim=True, dtype=torch.int32)
    taken = larger | (equal & (equal.cumsum(dim=1, dtype=torch.int32) <= wanted))
    columns = taken.nonzero()[:, 1].view(len(block), k)  # in rising order
    values, order = block.gather(1, columns).sort(dim=1, descending=True, stable=True)
    return values, columns.gather(1, order)


def _by_faiss(backend: str, queries: Tensor, candidates: Tensor, metric: str) -> bool:
    if backend not in ("torch", "faiss", "auto"):
        raise ValueError(f"backend={backend!r}; expected 'torch', 'faiss' or 'auto'.")
    fast = candidates.device.type != "cpu" or torch.backends.mkl.is_available()  # type: ignore[no-untyped-call]
    if backend == "torch" or (backend == "auto" and fast):
        return False
    refusal = faiss_refusal(queries, candidates, metric, must_be_there=backend == "faiss")
    if refusal is not None and backend == "faiss":
        raise ValueError(f"faiss cannot search this: {refusal}. Use backend='torch', which can.")
    return refusal is None


def _search_by_faiss(
    queries: Tensor,
    candidates: Tensor,
    k: int,
    metric: str,
    own_rows: Tensor | None,
    max_entries: int | None,
    advance: Advance | None,
) -> TopK:
    similarities, rows, doubtful = faiss_top_k(prepare(queries, metric), candidates, k, own_rows, advance)
    again = doubtful.nonzero().squeeze(1)
    if len(again):
        own = None if own_rows is None else own_rows[again]
        mended = _search(queries[again], candidates, k, metric, own, max_entries)
        similarities[again], rows[again] = mended
    return TopK(similarities, rows)


def _check_finite(name: str, vectors: Tensor) -> None:
    wrong = (~vectors.isfinite().all(dim=1)).nonzero().squeeze(1)
    if len(wrong):
        raise ValueError(
            f"{len(wrong)} of {len(vectors)} {name} hold NaN or infinity, the first in row {int(wrong[0])}. Expected "
            "finite numbers: nothing is near to such a vector."
        )
