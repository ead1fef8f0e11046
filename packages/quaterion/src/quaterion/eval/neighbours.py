"""What the nearest neighbours of objects say about their groups."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from quaterion.dataset.labels import group_ids
from quaterion.functional.row_blocks import row_blocks
from quaterion.utils.numbers import is_whole_number

__all__ = ["Votes", "checked_groups", "checked_neighbours", "votes"]

VOTE_ENTRIES = 2**22
"""Comparisons of neighbours with each other that are held at once."""


def checked_groups(groups: Tensor | Sequence[Any], count: int) -> Tensor:
    """Groups of objects as integers, known to be of more than one kind.

    Args:
        groups: Integers `[N]`, or N labels that `quaterion.dataset.group_ids` takes.
        count: Number of objects.

    Returns:
        int64 `[N]`, on the CPU.

    Raises:
        TypeError: A label cannot be taken.
        ValueError: There are more or fewer groups than objects, or all objects are of one.

    Example:
        >>> checked_groups([3, 1, 3], 3)
        tensor([3, 1, 3])
    """
    if isinstance(groups, Tensor):
        if groups.ndim != 1 or groups.is_floating_point():
            raise ValueError(
                f"groups has the shape {tuple(groups.shape)} and the type {groups.dtype}; expected one integer for "
                f"each object, [{count}]."
            )
        ids = groups.detach().cpu().long()
    else:
        ids = group_ids(groups)
    if len(ids) != count:
        raise ValueError(f"There are {len(ids)} groups for {count} embeddings; expected one group for each.")
    if bool((ids == ids[0]).all()):
        raise ValueError(
            f"All {count} objects are of one group ({groups[0]!r}), so neighbours cannot disagree. Expected two groups "
            "or more: use more of the data."
        )
    return ids


def checked_neighbours(k: int, available: int) -> int:
    """Returns a number of neighbours that there are.

    Args:
        k: As the user gave it.
        available: Number of objects to find them among.

    Raises:
        ValueError: It is no integer in 1..available.
    """
    if not is_whole_number(k) or not 1 <= k <= available:
        raise ValueError(
            f"k={k!r} neighbours, but each object has {available} to choose from. Expected k in 1..{available}: use a "
            "smaller k, or more data."
        )
    return int(k)


class Votes(NamedTuple):
    """The group that most neighbours of each object are of.

    Args:
        groups: The groups, int64 `[N]`. Of groups with as many votes, the one of more similar neighbours on average;
            of these again, the nearest neighbour's.
        places: Place of the nearest neighbour of that group among the neighbours, int64 `[N]`.
        shares: Share of the neighbours that are of that group, float64 `[N]`.
        similarities: Mean similarity of these neighbours, float64 `[N]`.
    """

    groups: Tensor
    places: Tensor
    shares: Tensor
    similarities: Tensor


def votes(neighbour_groups: Tensor, similarities: Tensor) -> Votes:
    """Counts the votes of neighbours.

    Args:
        neighbour_groups: Each neighbour's group, nearest first, `[N, k]`.
        similarities: Of each neighbour, `[N, k]`.

    Returns:
        The votes.

    Example:
        >>> groups, places, shares, means = votes(torch.tensor([[3, 1, 1]]), torch.tensor([[0.75, 0.5, 0.25]]))
        >>> groups.tolist(), places.tolist(), shares.tolist(), means.tolist()
        ([1], [1], [0.66...], [0.375])
    """
    count, k = neighbour_groups.shape
    best = torch.empty((count, 1), dtype=torch.int64)
    shares, means = (torch.empty((count, 1), dtype=torch.float64) for _ in range(2))
    for start, stop in row_blocks(count, k * k, VOTE_ENTRIES):
        groups, weights = neighbour_groups[start:stop], similarities[start:stop].double()
        same = groups.unsqueeze(2) == groups.unsqueeze(1)  # [B, k, k]
        counts = same.sum(dim=2)  # [B, k]: neighbours of the same group as each neighbour
        mean = weights.unsqueeze(1).where(same, 0.0).sum(dim=2) / counts
        leading = counts == counts.amax(dim=1, keepdim=True)
        # All members of a group have the same numbers, and argmax takes the first: the nearest.
        best[start:stop] = mean.where(leading, -torch.inf).argmax(dim=1, keepdim=True)
        shares[start:stop] = counts.gather(1, best[start:stop]).double() / k
        means[start:stop] = mean.gather(1, best[start:stop])
    return Votes(*(part.squeeze(1) for part in (neighbour_groups.gather(1, best), best, shares, means)))
