"""Groups and subgroups as int64: any hashable label becomes an id that is the same in every process."""

import math
from collections.abc import Hashable, Iterable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from quaterion_models.content_key import content_id

__all__ = ["LabelIndex", "group_id", "group_ids"]


def group_id(label: Any) -> int:
    """An int64 id of a label: ints keep their value, other hashable values get a 64-bit digest of their content.

    Args:
        label: Any hashable value. Integral floats and numpy integers count as ints.

    Returns:
        The id, equal for equal labels in every process.

    Raises:
        TypeError: The label is unhashable, or its content cannot be read.
        ValueError: The label is NaN, or an int beyond 64 bits.

    Example:
        >>> group_id(7), group_id(7.0), group_id("seven") == group_id("seven")
        (7, 7, True)
    """
    if isinstance(label, torch.Tensor) and label.ndim == 0:
        label = label.item()
    if isinstance(label, np.generic):
        label = label.item()
    if isinstance(label, float):
        if math.isnan(label):
            raise ValueError(
                "A group is NaN, which equals no other value, so the object would belong to no group. "
                "Expected an int, a string or another hashable value: drop the row or give it a group."
            )
        if label.is_integer():
            label = int(label)
    if isinstance(label, int):
        if not -(2**63) <= label < 2**63:
            raise ValueError(f"A group is the int {label}, which does not fit 64 bits. Give it as a string instead.")
        return int(label)
    if not isinstance(label, Hashable):
        raise TypeError(
            f"A group is {label!r}, an unhashable {type(label).__name__}. "
            "Expected an int, a string or another hashable value (a tuple instead of a list)."
        )
    try:
        return content_id(label)
    except TypeError as error:
        raise TypeError(
            f"A group is {label!r} of type {type(label).__name__}, whose content cannot be read. "
            "Expected an int, a string, or a tuple of those."
        ) from error


def group_ids(labels: Iterable[Any]) -> Tensor:
    """Ids of many labels.

    Args:
        labels: Any iterable of hashable values.

    Returns:
        int64 tensor `[N]`.

    Raises:
        TypeError: A label is unhashable; the message names its position.
        ValueError: A label is NaN; the message names its position.

    Example:
        >>> group_ids([3, 1, 3]).tolist()
        [3, 1, 3]
    """
    ids = []
    for position, label in enumerate(labels):
        try:
            ids.append(group_id(label))
        except (TypeError, ValueError) as error:
            raise type(error)(f"Sample {position}: {error}") from error
    return torch.tensor(ids, dtype=torch.int64)


class LabelIndex:
    """The classes 0..G−1 of a data set's labels, so that class weights have a row for each group.

    Ints that already are 0..G−1 keep their values; other labels are numbered in sorted order of their ids,
    so the order in which the data set is read does not matter.

    Args:
        ids: int64 ids `[N]` of the data set's labels, from `group_ids`.
        names: The label behind each id, kept for saving beside the class weights.
        num_groups: Number of rows that the class weights have.

    Raises:
        ValueError: There are more groups than class weights.

    Example:
        >>> index = LabelIndex(torch.tensor([30, 10, 30]), names={10: "ten", 30: "thirty"}, num_groups=2)
        >>> index.classes(torch.tensor([10, 30, 99])).tolist()
        [0, 1, -1]
        >>> index.labels
        ['ten', 'thirty']
    """

    def __init__(self, ids: Tensor, *, names: dict[int, Any] | None = None, num_groups: int) -> None:
        distinct = torch.unique(ids)
        if distinct.numel() > num_groups:
            raise ValueError(
                f"The data set has {distinct.numel()} groups, but the loss has weights for num_groups={num_groups}. "
                f"Build the loss with num_groups={distinct.numel()} or more."
            )
        keeps_values = distinct.numel() == 0 or (int(distinct[0]) >= 0 and int(distinct[-1]) < num_groups)
        self._ids = torch.arange(num_groups) if keeps_values else distinct
        names = names or {}
        self.labels: list[Any] = [names.get(int(i), int(i)) for i in self._ids]

    def classes(self, ids: Tensor) -> Tensor:
        """Class of each id, −1 for an id the index does not know.

        Args:
            ids: int64 `[B]`.

        Returns:
            int64 `[B]` in −1..G−1.
        """
        if self._ids.numel() == 0:
            return torch.full_like(ids, -1)
        position = torch.searchsorted(self._ids, ids).clamp_(max=self._ids.numel() - 1)
        return torch.where(self._ids[position] == ids, position, -1)
