"""Groups that lie in each other's neighbourhoods."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from quaterion.distances import Distance
from quaterion.eval.neighbours import checked_groups, checked_neighbours
from quaterion.eval.tasks import checked_embeddings
from quaterion.functional.topk import top_k
from quaterion.utils.numbers import is_whole_number
from quaterion.utils.progress import progress_bar

__all__ = ["GroupOverlap", "overlapping_groups"]


@dataclass(frozen=True)
class GroupOverlap:
    """How much two groups overlap.

    Args:
        groups: Both groups, the lower number first; of labels that were no integers, their `group_id`.
        overlap: Share of the neighbours of both groups' objects that are of the other one, in [0, 1].
        rows: Rows of two objects, the first group's first: of those that are neighbours, the most similar.
        similarity: How similar these two are.
    """

    groups: tuple[int, int]
    overlap: float
    rows: tuple[int, int]
    similarity: float


@torch.no_grad()
def overlapping_groups(
    embeddings: Tensor,
    groups: Tensor | Sequence[Any],
    top: int = 20,
    *,
    k: int = 10,
    distance_metric_name: Distance | str = Distance.COSINE,
    max_entries: int | None = None,
    log_progress: bool = False,
) -> list[GroupOverlap]:
    """Finds the pairs of groups that overlap most.

    Args:
        embeddings: `[N, D]`.
        groups: Group of each object: integers `[N]`, or N labels.
        top: Pairs of groups to return.
        k: Neighbours of each object that are looked at.
        distance_metric_name: How embeddings are compared.
        max_entries: Bound on the similarities held at once.
        log_progress: Whether to show a progress bar of the search, on standard error.

    Returns:
        At most `top` pairs, the largest overlap first; pairs without overlap are left out.

    Raises:
        TypeError: A label cannot be taken.
        ValueError: Shapes do not fit, an embedding is not finite, there is one group only, or k or top is out of
            range.

    Example:
        >>> embeddings = torch.tensor([[1.0, 0.0], [0.9, 0.2], [0.8, 0.3], [0.0, 1.0], [0.1, 1.0]])
        >>> overlapping_groups(embeddings, torch.tensor([7, 8, 8, 9, 9]), k=1)
        [GroupOverlap(groups=(7, 8), overlap=0.333..., rows=(0, 1), similarity=0.976...)]
    """
    if not is_whole_number(top) or top < 1:
        raise ValueError(f"top={top!r}; expected the number of pairs of groups to return, 1 or more, such as 20.")
    metric = Distance(distance_metric_name)
    embeddings = checked_embeddings(embeddings)
    distinct, codes = torch.unique(checked_groups(groups, len(embeddings)), return_inverse=True)
    k = checked_neighbours(k, len(embeddings) - 1)
    everyone = torch.arange(len(embeddings), device=embeddings.device)
    with progress_bar("Searching", len(embeddings), enabled=log_progress) as advance:
        found = top_k(
            embeddings, embeddings, k, metric=metric, own_rows=everyone, max_entries=max_entries, advance=advance
        )
    row = torch.arange(len(embeddings)).repeat_interleave(k)  # [N · k]
    other, similarity = found.rows.cpu().flatten(), found.similarities.cpu().flatten()
    apart = codes[row] != codes[other]
    row, other, similarity = row[apart], other[apart], similarity[apart]
    # The first of both rows is the one whose group has the lower number.
    flip = codes[row] > codes[other]
    row, other = other.where(flip, row), row.where(flip, other)
    pairs, pair, counts = torch.unique(
        torch.stack([codes[row], codes[other]], dim=1), dim=0, return_inverse=True, return_counts=True
    )
    sizes = torch.bincount(codes)
    overlap = counts.double() / (k * sizes[pairs].sum(dim=1))
    result = []
    for number in overlap.argsort(descending=True, stable=True)[:top].tolist():
        members = (pair == number).nonzero().squeeze(1)
        nearest = int(members[similarity[members].argmax()])
        first, second = distinct[pairs[number]].tolist()
        rows = int(row[nearest]), int(other[nearest])
        result.append(GroupOverlap((first, second), float(overlap[number]), rows, float(similarity[nearest])))
    return result
