"""Queries that a model serves worst, with what it finds for them."""

from dataclasses import dataclass

import torch
from torch import Tensor

from quaterion.distances import Distance
from quaterion.eval.retrieval_task import RetrievalTask
from quaterion.functional.rounded_similarity import RoundedSimilarity

__all__ = ["Found", "SearchResult", "first_results", "worst_queries"]


@dataclass(frozen=True, slots=True)
class Found:
    """A candidate that a query found.

    Args:
        row: Its row among the candidates.
        similarity: How similar it is.
        relevant: Whether it belongs to the query.
    """

    row: int
    similarity: float
    relevant: bool


@dataclass(frozen=True, slots=True)
class SearchResult:
    """What a query found.

    Args:
        top: The nearest candidates, nearest first; of equal ones the lower row first.
        best: The nearest candidate that belongs to the query.
        rank: Its place: 1 and the number of candidates that are nearer.
    """

    top: list[Found]
    best: Found
    rank: int


def worst_queries(reciprocal_ranks: Tensor, count: int) -> list[int]:
    """Numbers of the queries whose first relevant candidate is farthest down, the worst first.

    Args:
        reciprocal_ranks: One over the rank of the first relevant candidate `[Q]`, NaN where nothing is relevant.
        count: How many to find at most. Queries that find a relevant candidate first are not among them.

    Returns:
        Rows of `reciprocal_ranks`; of equal ones the lower row first.

    Example:
        >>> worst_queries(torch.tensor([0.5, 1.0, 0.1, float("nan")]), count=5)
        [2, 0]
    """
    wrong = (reciprocal_ranks < 1).nonzero().squeeze(1)
    order = reciprocal_ranks[wrong].sort(stable=True).indices[:count]
    return [int(row) for row in wrong[order.cpu()]]


@torch.no_grad()
def first_results(
    task: RetrievalTask, queries: list[int], listed: Tensor, *, metric: Distance | str = Distance.COSINE, count: int = 5
) -> list[SearchResult]:
    """Searches for some queries.

    Args:
        task: Queries and candidates.
        queries: Numbers of queries that have something relevant.
        listed: Rows of the candidates that are searched, rising `[L]`.
        metric: How they are compared, see `RoundedSimilarity`.
        count: Length of the lists.

    Returns:
        What each query found.

    Example:
        >>> from quaterion.eval.tasks import group_task
        >>> points = torch.tensor([[1.0, 0.0], [0.9, 0.1], [0.0, 1.0]])
        >>> task = group_task(points, torch.tensor([0, 1, 0]))
        >>> result, = first_results(task, [0], torch.arange(3), count=1)
        >>> result.top[0].row, result.top[0].relevant, result.best.row, result.rank
        (1, False, 2, 2)
    """
    if not queries:
        return []
    numbers = torch.tensor(queries, device=task.queries.device)
    listed = listed.to(task.queries.device)
    similarities = RoundedSimilarity(task.candidates, metric)(task.queries[numbers])  # [W, N]
    relevant = task.relevant(numbers)
    if task.own_rows is not None:
        own = task.own_rows[numbers].unsqueeze(1)
        similarities.scatter_(1, own, -torch.inf)
        relevant = relevant.scatter(1, own, value=False)
    similarities, relevant = similarities[:, listed], relevant[:, listed]  # [W, L]
    results = []
    for values, belongs in zip(similarities, relevant, strict=True):
        order = values.sort(descending=True, stable=True).indices
        order = order[values[order].isfinite()]
        best = int(order[belongs[order]][0])
        found = [
            Found(int(listed[place]), round(float(values[place]), 6), bool(belongs[place]))
            for place in [best, *order[:count].tolist()]
        ]
        results.append(SearchResult(found[1:], found[0], 1 + int((values > values[best]).sum())))
    return results
