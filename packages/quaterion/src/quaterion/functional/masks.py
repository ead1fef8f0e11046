"""Who is a positive and who is a negative of whom, as boolean matrices."""

from typing import NamedTuple

from torch import Tensor

__all__ = ["GroupMasks", "group_masks"]


class GroupMasks(NamedTuple):
    """Positives and negatives of each anchor, `[n, m]` bool each; an anchor itself is neither."""

    positive: Tensor
    negative: Tensor


def group_masks(groups: Tensor, reference_groups: Tensor, *, first: int | None = 0) -> GroupMasks:
    """Mark each anchor's positives and negatives among the candidates.

    Args:
        groups: `[n]` groups of the anchors.
        reference_groups: `[m]` groups of the candidates.
        first: Where the anchors are themselves the candidates `first … first + n − 1`, that row, so that each
            is left out of its own positives by index; None where anchors and candidates are different
            objects.

    Returns:
        Masks of shape `[n, m]`.

    Example:
        >>> import torch
        >>> groups = torch.tensor([0, 0, 1])
        >>> group_masks(groups, groups).positive
        tensor([[False,  True, False],
                [ True, False, False],
                [False, False, False]])
    """
    positive = groups.unsqueeze(1) == reference_groups.unsqueeze(0)
    negative = ~positive
    if first is not None:
        positive.diagonal(first).fill_(False)
    return GroupMasks(positive, negative)
