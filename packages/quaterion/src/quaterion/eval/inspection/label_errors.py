"""Objects that are probably labelled with a wrong group."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from quaterion.distances import Distance
from quaterion.eval.neighbours import checked_groups, checked_neighbours, votes
from quaterion.eval.tasks import checked_embeddings
from quaterion.functional.topk import top_k
from quaterion.utils.progress import progress_bar

__all__ = ["SuspectedLabelErrors", "suspected_label_errors"]


@dataclass(frozen=True, eq=False)
class SuspectedLabelErrors:
    """Objects whose neighbours are of other groups, the most suspicious first.

    Args:
        rows: Rows of the embeddings, int64 `[S]`.
        suspicion: How suspicious each is, in falling order, float64 `[S]`; not below 0, and with cosine at most 1.
        suggested: Group that its neighbours suggest, int64 `[S]`: of labels that were no integers, their `group_id`.
        examples: Row of the nearest object of that group, int64 `[S]`, to show beside it, and to name the group by.
    """

    rows: Tensor
    suspicion: Tensor
    suggested: Tensor
    examples: Tensor

    def __len__(self) -> int:
        return len(self.rows)


@torch.no_grad()
def suspected_label_errors(
    embeddings: Tensor,
    groups: Tensor | Sequence[Any],
    k: int = 10,
    *,
    distance_metric_name: Distance | str = Distance.COSINE,
    max_entries: int | None = None,
    log_progress: bool = False,
) -> SuspectedLabelErrors:
    """Finds objects none of whose nearest neighbours is of their group, and ranks them by suspicion.

    The suspicion is the share of the k neighbours that agree on another group, times their mean similarity (none below
    0): a neighbourhood that is close and of one mind says more than one that is far or divided. Use the embeddings of
    an untouched encoder: a model that was trained on wrong labels has begun to believe them.

    Args:
        embeddings: `[N, D]`.
        groups: Group of each object: integers `[N]`, or N labels.
        k: Number of neighbours.
        distance_metric_name: How embeddings are compared.
        max_entries: Bound on the similarities held at once.
        log_progress: Whether to show a progress bar of the search, on standard error.

    Returns:
        The suspected objects; none where every object has a neighbour of its group.

    Raises:
        TypeError: A label cannot be taken.
        ValueError: Shapes do not fit, an embedding is not finite, there is one group only, or k is too large.

    Paper: Wilson, Asymptotic Properties of Nearest Neighbor Rules Using Edited Data (IEEE SMC 1972).

    Example:
        >>> embeddings = torch.tensor([[1.0, 0.0], [0.9, 0.1], [0.8, 0.1], [0.0, 1.0], [0.1, 0.9], [0.1, 0.8]])
        >>> labels = ["cat", "cat", "dog", "dog", "dog", "dog"]
        >>> found = suspected_label_errors(embeddings, labels, k=2)
        >>> found.rows.tolist(), [labels[row] for row in found.examples]
        ([2], ['cat'])
    """
    metric = Distance(distance_metric_name)
    embeddings = checked_embeddings(embeddings)
    own = checked_groups(groups, len(embeddings))
    k = checked_neighbours(k, len(embeddings) - 1)
    everyone = torch.arange(len(embeddings), device=embeddings.device)
    with progress_bar("Searching", len(embeddings), enabled=log_progress) as advance:
        found = top_k(
            embeddings, embeddings, k, metric=metric, own_rows=everyone, max_entries=max_entries, advance=advance
        )
    neighbours = found.rows.cpu()  # [N, k]
    rows = (own[neighbours] != own.unsqueeze(1)).all(dim=1).nonzero().squeeze(1)
    neighbours = neighbours[rows]  # [S, k]
    voted = votes(own[neighbours], found.similarities.cpu()[rows])
    suspicion = voted.shares * voted.similarities.clamp(min=0)
    order = suspicion.argsort(descending=True, stable=True)
    examples = neighbours.gather(1, voted.places.unsqueeze(1)).squeeze(1)
    return SuspectedLabelErrors(rows[order], suspicion[order], voted.groups[order], examples[order])
