"""Retrieval scores of single queries, from their ranked lists.

Candidates of equal similarity have no order among themselves. Each score here is its **expected value over
all orders of the tied candidates**, in closed form. Of the possible conventions it is the one that depends
neither on the order of the data nor on chance, and that a model cannot gain from: were ties broken in favour
of relevant candidates, a model that maps everything to one point would score 1. Without ties the scores are
the usual ones; where every tie is all relevant or all irrelevant (as with perfect data, duplicates or not)
they are exact to the last bit.

All scores are float64 `[B]`, and NaN for a query with nothing relevant.

Paper: McSherry and Najork, Computing Information Retrieval Performance Measures Efficiently in the Presence
of Tied Scores (ECIR 2008).
"""

from collections.abc import Callable

import torch
from torch import Tensor

from quaterion.functional.ranked_lists import RankedLists

__all__ = [
    "average_precision_at_r",
    "hit_rate_at_k",
    "ndcg_at_k",
    "precision_at_k",
    "r_precision",
    "reciprocal_rank",
]

CHUNK_ENTRIES = 2**20


def precision_at_k(lists: RankedLists, k: int) -> Tensor:
    """Share of the first k candidates that are relevant.

    Args:
        lists: Ranked lists of depth k or more.
        k: Number of leading candidates.

    Returns:
        `[B]`, in [0, 1].

    Example:
        >>> from quaterion.functional.ranked_lists import rank
        >>> tied = rank(torch.tensor([[0.9, 0.5, 0.5]]), torch.tensor([[True, True, False]]), depth=2)
        >>> precision_at_k(tied, k=2)  # the second place goes to either, so half of it counts
        tensor([0.7500], dtype=torch.float64)
    """
    column = torch.full_like(lists.num_relevant, k - 1)
    return _scored(lists, _hits_up_to(lists, column) / k)


def r_precision(lists: RankedLists) -> Tensor:
    """Share of the first R candidates that are relevant, R being the query's number of relevant candidates.

    Args:
        lists: Ranked lists of depth R or more.

    Returns:
        `[B]`, in [0, 1].

    Example:
        >>> from quaterion.functional.ranked_lists import rank
        >>> r_precision(rank(torch.tensor([[0.9, 0.5, 0.1]]), torch.tensor([[True, False, True]]), depth=2))
        tensor([0.5000], dtype=torch.float64)
    """
    column = (lists.num_relevant - 1).clamp(min=0)
    return _scored(lists, _hits_up_to(lists, column) / lists.num_relevant)


def hit_rate_at_k(lists: RankedLists, k: int) -> Tensor:
    """Whether anything relevant is among the first k candidates (recall@k where one candidate is enough).

    Args:
        lists: Ranked lists of depth k or more.
        k: Number of leading candidates.

    Returns:
        `[B]`: 1 or 0, and between them only where a tie decides.

    Example:
        >>> from quaterion.functional.ranked_lists import rank
        >>> relevant = torch.tensor([[False, False, True, False]])
        >>> tied = rank(torch.tensor([[0.9, 0.5, 0.5, 0.5]]), relevant, depth=2)
        >>> hit_rate_at_k(tied, k=2)  # one place for three candidates
        tensor([0.3333], dtype=torch.float64)
    """
    column = k - 1
    size, hits = lists.tie_size[:, column], lists.tie_relevant[:, column]
    places = k - lists.ahead[:, column]  # the places that this tie has among the first k
    found = (lists.relevant_ahead[:, column] > 0) | (hits + places > size)
    result = found.double()
    undecided = ~found & (hits > 0)
    if bool(undecided.any()):
        ties = torch.stack([size, hits, places], dim=1)[undecided]
        result[undecided] = 1 - _per_distinct_row(ties, _miss_probability)
    return _scored(lists, result)


def reciprocal_rank(lists: RankedLists) -> Tensor:
    """One over the rank of the first relevant candidate.

    Args:
        lists: Ranked lists of any depth.

    Returns:
        `[B]`, in (0, 1].

    Example:
        >>> from quaterion.functional.ranked_lists import rank
        >>> similarity = torch.tensor([[0.9, 0.5, 0.5]])
        >>> reciprocal_rank(rank(similarity, torch.tensor([[False, True, True]]), depth=0))
        tensor([0.5000], dtype=torch.float64)
        >>> reciprocal_rank(rank(similarity, torch.tensor([[False, True, False]]), depth=0))  # 1/2 or 1/3
        tensor([0.4167], dtype=torch.float64)
    """
    result = 1 / (lists.first_ahead + 1).double()
    mixed = (lists.first_tie_relevant < lists.first_tie_size) & (lists.num_relevant > 0)
    if bool(mixed.any()):
        ties = torch.stack([lists.first_tie_size, lists.first_tie_relevant, lists.first_ahead], dim=1)[mixed]
        result[mixed] = _per_distinct_row(ties, _expected_reciprocal)
    return _scored(lists, result)


def average_precision_at_r(lists: RankedLists) -> Tensor:
    """Mean over the first R positions of the precision there, counted as 0 where the candidate is irrelevant.

    Args:
        lists: Ranked lists of depth R or more.

    Returns:
        `[B]`, in [0, 1]: 1 only where the first R candidates are the R relevant ones.

    Paper: Musgrave et al., A Metric Learning Reality Check (arXiv 2003.08505), section 3.2.

    Example:
        >>> from quaterion.functional.ranked_lists import rank
        >>> lists = rank(torch.tensor([[0.9, 0.5, 0.1]]), torch.tensor([[False, True, True]]), depth=2)
        >>> average_precision_at_r(lists)  # R = 2, and one hit, at the second place
        tensor([0.2500], dtype=torch.float64)
    """
    place = _places(lists)  # [K], from 1
    size, hits = lists.tie_size.double(), lists.tie_relevant.double()
    before_in_tie = place - lists.ahead - 1
    # Given a hit here, each earlier place of the tie is a hit with probability (hits − 1)/(size − 1).
    hits_before = lists.relevant_ahead + before_in_tie * (hits - 1) / (size - 1).clamp(min=1)
    terms = hits / size * ((hits_before + 1) / place)  # [B, K]
    counted = place <= lists.num_relevant.unsqueeze(1)
    return _scored(lists, _sum_in_order(terms.where(counted, 0)) / lists.num_relevant)


def ndcg_at_k(lists: RankedLists, k: int) -> Tensor:
    """Normalised discounted cumulative gain: hits in the first k, over log2(rank + 1), over the best sum.

    Args:
        lists: Ranked lists of depth k or more.
        k: Number of leading candidates.

    Returns:
        `[B]`, in [0, 1].

    Paper: Järvelin and Kekäläinen, Cumulated gain-based evaluation of IR techniques (TOIS 2002), with gains 0
    and 1.

    Example:
        >>> from quaterion.functional.ranked_lists import rank
        >>> ndcg_at_k(rank(torch.tensor([[0.9, 0.5]]), torch.tensor([[False, True]]), depth=2), k=2)
        tensor([0.6309], dtype=torch.float64)
    """
    place = _places(lists)[:k]
    discount = 1 / torch.log2(place + 1)
    gain = lists.tie_relevant[:, :k].double() / lists.tie_size[:, :k]
    ideal = (place <= lists.num_relevant.unsqueeze(1)).double()
    return _scored(lists, (gain * discount).sum(dim=1) / (ideal * discount).sum(dim=1))


def _scored(lists: RankedLists, values: Tensor) -> Tensor:
    return values.where(lists.num_relevant > 0, torch.nan)


def _places(lists: RankedLists) -> Tensor:
    depth = lists.tie_size.shape[1]
    return torch.arange(1, depth + 1, dtype=torch.float64, device=lists.tie_size.device)


def _sum_in_order(terms: Tensor) -> Tensor:
    """Sums of rows that come out the same to the last bit however many zeros follow, as they do in larger blocks."""
    return terms.cumsum(dim=1)[:, -1]


def _hits_up_to(lists: RankedLists, column: Tensor) -> Tensor:
    """Expected number of relevant candidates up to and with a position `[B]`, counted from 0."""
    index = column.unsqueeze(1)
    size, hits, ahead, hits_ahead = (
        field.gather(1, index).squeeze(1)
        for field in (lists.tie_size, lists.tie_relevant, lists.ahead, lists.relevant_ahead)
    )
    return hits_ahead + (hits * (column + 1 - ahead)).double() / size


def _per_distinct_row(ties: Tensor, formula: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    """Applies a formula over the members of a tie once for each distinct tie, in bounded memory.

    Args:
        ties: int64 `[B, 3]`, first the size of the tie.
        formula: Takes distinct ties `[U, 3]` and members `[n]` counted from 0, gives `[U]`.
    """
    distinct, inverse = torch.unique(ties, dim=0, return_inverse=True)  # [U, 3], sorted by size
    parts, start = [], 0
    while start < len(distinct):
        # Sizes rise, so that looking from the far end, the first tie of a part bounds all of it.
        stop = len(distinct) - start
        size = int(distinct[stop - 1, 0])
        part = distinct[max(0, stop - max(1, CHUNK_ENTRIES // size)) : stop]
        parts.append(formula(part, torch.arange(size, device=ties.device)))
        start += len(part)
    return torch.cat(parts[::-1])[inverse]


def _miss_probability(ties: Tensor, member: Tensor) -> Tensor:
    """Probability that none of the hits of a tie gets one of its first places: C(n − r, m) / C(n, m)."""
    size, hits, places = (column.unsqueeze(1) for column in ties.unbind(1))  # [U, 1]
    factors = (size - hits - member).double() / (size - member).clamp(min=1)  # [U, n]
    return factors.where(member < places, 1.0).cumprod(dim=1)[:, -1]


def _expected_reciprocal(ties: Tensor, member: Tensor) -> Tensor:
    """Expected 1/rank of the first hit of a tie, whose members take the ranks after those ahead of it."""
    size, hits, ahead = (column.unsqueeze(1) for column in ties.unbind(1))  # [U, 1]
    left = (size - member).clamp(min=1)
    # Probability that all members up to and with each are misses: 0 once there are no more misses.
    misses = ((left - hits).clamp(min=0).double() / left).cumprod(dim=1)  # [U, n]
    reached = torch.cat([torch.ones_like(misses[:, :1]), misses[:, :-1]], dim=1)
    return _sum_in_order((reached - misses) / (ahead + 1 + member))
