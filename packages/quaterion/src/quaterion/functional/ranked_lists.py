"""Ranked lists of queries, as far as retrieval scores need them, with ties kept as ties."""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from quaterion.functional.rounded_similarity import RoundedSimilarity, rows_at_once

__all__ = ["RankedLists", "rank", "ranked_lists"]


class RankedLists(NamedTuple):
    """Ranked lists of B queries: the tie that holds each of the first K positions, and the best relevant one.

    A *tie* is a maximal run of candidates of equal similarity; a candidate that equals no other is a tie of
    one.

    Attributes:
        num_relevant: Relevant candidates, `[B]`.
        tie_size: Candidates in the tie that holds the position, `[B, K]`.
        tie_relevant: Relevant candidates in that tie, `[B, K]`.
        ahead: Candidates strictly before that tie, `[B, K]`.
        relevant_ahead: Relevant candidates strictly before that tie, `[B, K]`.
        first_ahead: Candidates strictly before the tie that holds the best relevant candidate, `[B]`.
        first_tie_size: Candidates in that tie, `[B]`.
        first_tie_relevant: Relevant candidates in that tie, `[B]`.
    """

    num_relevant: Tensor
    tie_size: Tensor
    tie_relevant: Tensor
    ahead: Tensor
    relevant_ahead: Tensor
    first_ahead: Tensor
    first_tie_size: Tensor
    first_tie_relevant: Tensor


def rank(similarity: Tensor, relevant: Tensor, depth: int) -> RankedLists:
    """Ranks the candidates of each query.

    Args:
        similarity: `[B, N]`, minus infinity for what is not a candidate.
        relevant: bool `[B, N]`, False for what is not a candidate.
        depth: Leading positions K to describe, at most the number of candidates.

    Returns:
        The ranked lists. Where nothing is relevant, the fields of the best relevant candidate have no
        meaning.

    Example:
        >>> lists = rank(torch.tensor([[0.9, 0.5, 0.5]]), torch.tensor([[False, True, False]]), depth=2)
        >>> lists.tie_size.tolist(), lists.tie_relevant.tolist(), lists.first_ahead.tolist()
        ([[1, 2]], [[0, 1]], [1])
    """
    best = similarity.masked_fill(~relevant, -torch.inf).amax(dim=1, keepdim=True)  # [B, 1]
    best_tie = similarity == best  # [B, N]
    return RankedLists(
        _count(relevant),
        *_leading_ties(similarity, relevant, depth),
        first_ahead=_count(similarity > best),
        first_tie_size=_count(best_tie),
        first_tie_relevant=_count(best_tie & relevant),
    )


def _count(mask: Tensor) -> Tensor:
    # A sum of booleans in int64 takes three times as long, and a pass over a block counts beside its matrix product.
    return mask.sum(dim=1, dtype=torch.int32).long()


def _leading_ties(similarity: Tensor, relevant: Tensor, depth: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    if depth == 0:
        none = torch.empty((len(similarity), 0), dtype=torch.int64, device=similarity.device)
        return none, none, none, none
    values, columns = similarity.topk(depth, dim=1)  # [B, K]
    hits = relevant.gather(1, columns).long()
    seen = hits.cumsum(dim=1)  # relevant up to and with each position
    position = torch.arange(depth, device=similarity.device).expand_as(columns)
    changes = values[:, 1:] != values[:, :-1]  # [B, K - 1]: a tie ends here and the next one starts
    edge = torch.ones_like(hits[:, :1], dtype=torch.bool)
    starts, ends = torch.cat([edge, changes], dim=1), torch.cat([changes, edge], dim=1)
    ahead = position.where(starts, 0).cummax(dim=1).values
    last = position.where(ends, depth).flip(1).cummin(dim=1).values.flip(1)
    relevant_ahead = (seen - hits).gather(1, ahead)
    # The last tie may reach beyond position K, and which of its members are among the K is chance: count it
    # whole.
    cut = values[:, -1:]  # [B, 1]
    in_cut = similarity == cut  # [B, N]
    cut_size = _count(in_cut).unsqueeze(1)
    cut_relevant = _count(in_cut & relevant).unsqueeze(1)
    tie_size = torch.where(values == cut, cut_size, last + 1 - ahead)
    tie_relevant = torch.where(values == cut, cut_relevant, seen.gather(1, last) - relevant_ahead)
    return tie_size, tie_relevant, ahead, relevant_ahead


def ranked_lists(
    queries: Tensor,
    candidates: Tensor,
    relevant: Callable[[Tensor], Tensor],
    num_relevant: Tensor,
    *,
    metric: str,
    depth: int,
    depth_num_relevant: bool = False,
    own_rows: Tensor | None = None,
    max_entries: int | None = None,
) -> Iterator[tuple[Tensor, RankedLists]]:
    """Exact ranked lists of all queries that have something relevant, in blocks of bounded memory.

    Args:
        queries: `[Q, D]`, finite.
        candidates: `[N, D]`, finite.
        relevant: Given queries' numbers `[B]`, says which candidates are relevant to each: bool `[B, N]`.
            What it says of a query's own row does not matter.
        num_relevant: Relevant candidates of each query without its own row, `[Q]`. Queries with 0 are
            skipped.
        metric: One of `quaterion.functional.similarity.METRICS`.
        depth: Leading positions K to describe.
        depth_num_relevant: Describe also the first R positions, R being the query's number of relevant
            candidates.
        own_rows: Where queries are candidates too, the row of each among them `[Q]`: left out, by number.
        max_entries: Bound on a block's entries, see `rows_at_once`.

    Yields:
        Numbers of a block's queries `[B]` and their ranked lists. Blocks come in any order.

    Example:
        >>> points = torch.tensor([[1.0, 0.0], [1.0, 0.1], [0.0, 1.0]])
        >>> same_group = torch.tensor([[True, True, False], [True, True, False], [False, False, True]])
        >>> blocks = ranked_lists(points, points, lambda rows: same_group[rows], torch.tensor([1, 1, 0]),
        ...                       metric="cosine", depth=1, own_rows=torch.arange(3))
        >>> [(rows.tolist(), lists.tie_relevant.tolist()) for rows, lists in blocks]
        [([0, 1], [[1], [1]])]
    """
    order = (num_relevant > 0).nonzero().squeeze(1)
    if depth_num_relevant:
        # Lists of like depth share a block; with the deepest first, a block's first query tells its depth.
        order = order[num_relevant[order].argsort(descending=True, stable=True)]
    similarity = RoundedSimilarity(candidates, metric)
    start = 0
    while start < len(order):
        reach = max(depth, int(num_relevant[order[start]])) if depth_num_relevant else depth
        rows = order[start : start + rows_at_once(len(candidates), reach, max_entries)]
        block = similarity.nearness(queries[rows])
        mask = relevant(rows)
        if own_rows is not None:
            own = own_rows[rows].unsqueeze(1)
            block.scatter_(1, own, -torch.inf)
            mask = mask.scatter(1, own, value=False)
        yield rows, rank(block, mask, reach)
        start += len(rows)
