"""How similar matching and non-matching pairs are: exact histograms over all pairs, in blocks of bounded memory."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from quaterion.distances import Distance
from quaterion.eval.retrieval_task import RetrievalTask
from quaterion.functional.rounded_similarity import RoundedSimilarity, rows_at_once

__all__ = ["SimilarityHistogram", "similarity_histogram"]

BINS = 100


@dataclass(frozen=True)
class SimilarityHistogram:
    """Counts of pairs of a query and a candidate by similarity.

    Args:
        edges: Ends of the bins, B + 1 numbers; bin i holds `edges[i] <= similarity < edges[i + 1]`, the last one both.
        matching: Pairs that belong together, in each bin.
        other: Pairs that do not.
        matching_mean: Mean similarity of matching pairs; None where there is none.
        other_mean: Mean similarity of the others.
    """

    edges: list[float]
    matching: list[int]
    other: list[int]
    matching_mean: float | None
    other_mean: float | None

    def as_dict(self) -> dict[str, Any]:
        """The same, ready for JSON."""
        return dict(vars(self))


@torch.no_grad()
def similarity_histogram(
    task: RetrievalTask, metric: Distance | str = Distance.COSINE, *, max_entries: int | None = None
) -> SimilarityHistogram:
    """Counts all pairs of a query and a candidate other than itself.

    Args:
        task: Queries, candidates, and what belongs together.
        metric: How they are compared. Similarities are rounded as they are for ranking, see `RoundedSimilarity`.
        max_entries: Bound on a block's entries, see `rows_at_once`.

    Returns:
        A hundred bins: of cosines over [−1, 1], of other similarities over the range that they can have.

    Example:
        >>> from quaterion.eval.tasks import group_task
        >>> points = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
        >>> histogram = similarity_histogram(group_task(points, torch.tensor([0, 0, 1])))
        >>> sum(histogram.matching), sum(histogram.other), histogram.matching_mean, histogram.other_mean
        (2, 4, 1.0, 0.0)
    """
    metric = Distance(metric)
    low, high = _range(task, metric)
    width = (high - low) / BINS
    similarity = RoundedSimilarity(task.candidates, metric)
    counts = torch.zeros(2, BINS, dtype=torch.int64)
    sums = torch.zeros(2, dtype=torch.float64)
    numbers = torch.arange(len(task.queries), device=task.queries.device)
    for rows in torch.split(numbers, rows_at_once(len(task.candidates), max_entries=max_entries)):
        block = similarity(task.queries[rows]).double()  # [B, N]
        kind = task.relevant(rows).long()  # 1 for matching pairs
        if task.own_rows is not None:
            kind.scatter_(1, task.own_rows[rows].unsqueeze(1), 2)
        place = ((block - low) / width).floor_().clamp_(0, BINS - 1).long()
        found = torch.bincount((place + kind * BINS).flatten(), minlength=3 * BINS)[: 2 * BINS]
        counts += found.view(2, BINS).cpu()
        sums += torch.stack([block.masked_fill(kind != which, 0).sum() for which in (0, 1)]).cpu()
    totals = counts.sum(dim=1)
    means = [float(part / total) if total else None for part, total in zip(sums, totals, strict=True)]
    return SimilarityHistogram(
        edges=[low + width * place for place in range(BINS)] + [high],
        matching=counts[1].tolist(),
        other=counts[0].tolist(),
        matching_mean=means[1],
        other_mean=means[0],
    )


def _range(task: RetrievalTask, metric: Distance) -> tuple[float, float]:
    if metric == Distance.COSINE:
        return -1.0, 1.0
    if metric != Distance.DOT_PRODUCT:
        return 0.0, 1.0
    bound = _longest(task.queries) * _longest(task.candidates)
    return (-bound, bound) if bound else (-1.0, 1.0)


def _longest(vectors: Tensor) -> float:
    return float(torch.linalg.vector_norm(vectors, dim=1, dtype=torch.float64).max())
