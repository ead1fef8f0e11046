"""Groups and subgroups as int64: any hashable label becomes an id that is the same in every process."""

import math
from collections.abc import Hashable, Iterable
from decimal import Decimal
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

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
    if isinstance(label, torch.Tensor):
        if label.numel() != 1:
            raise TypeError(f"A group is a tensor of shape {list(label.shape)}. Expected one value for each object.")
        label = label.item()
    if label is None:
        raise ValueError(
            "A group is None, so all objects without a label would be one group. Expected an int, a string or another "
            "hashable value: drop the row or give it a group."
        )
    if isinstance(label, np.generic):
        label = label.item()
    if isinstance(label, float | Decimal):
        if math.isnan(label):
            raise ValueError(
                "A group is NaN, which equals no other value, so the object would belong to no group. "
                "Expected an int, a string or another hashable value: drop the row or give it a group."
            )
        if math.isfinite(label) and label % 1 == 0:
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


class LabelIndex(nn.Module):
    """Classes 0..G−1 of a data set's labels, so that a loss has a row of weights for each group.

    Ints that already lie in 0..G−1 keep their values. Other labels are numbered in their sorted order (that of their
    ids where they cannot be compared), whatever the order of the data. Labels of a later data set get the rows that
    are still free. The index is a part of the model: checkpoints hold it.

    Args:
        num_groups: G, rows of the class weights.

    Example:
        >>> index = LabelIndex(num_groups=3)
        >>> ids = group_ids(["thirty", "ten", "thirty"])
        >>> index.learn(ids, names=dict(zip(ids.tolist(), ["thirty", "ten", "thirty"])))
        >>> index(ids).tolist(), index(group_ids(["new"])) < 0
        ([1, 0, 1], tensor([True]))
        >>> index.labels
        ['ten', 'thirty', None]
    """

    ids: Tensor
    classes: Tensor

    def __init__(self, num_groups: int) -> None:
        super().__init__()
        self.labels: list[Any] = [None] * num_groups
        """Label of each class, None for a row that no label has yet."""
        # Sorted ids and the class of each; free places hold the largest int64.
        self.register_buffer("ids", torch.full((num_groups,), _FREE))
        self.register_buffer("classes", torch.full((num_groups,), -1))

    def learn(self, ids: Tensor, names: dict[int, Any]) -> None:
        """Takes up the labels of a training set.

        Args:
            ids: int64 `[N]`, ids of the labels.
            names: The label behind each id.

        Raises:
            ValueError: There are more groups than rows of class weights.
        """
        size = len(self.labels)
        known = self.ids[self.ids != _FREE]
        distinct = torch.unique(ids.to(self.ids.device))
        new = distinct[~torch.isin(distinct, known)].tolist()
        if len(known) + len(new) > size:
            raise ValueError(
                f"The data set has {len(distinct)} groups, {len(new)} of them new, but the loss has weights for "
                f"num_groups={size} and {size - len(known)} of them are free. "
                f"Build the loss with num_groups={len(known) + len(new)} or more."
            )
        if len(known) == 0 and all(0 <= one < size for one in new):
            self._assign(list(range(size)), list(range(size)), list(range(size)))
        elif new:
            free = sorted(set(range(size)) - set(self.classes.tolist()))
            new = _sorted(new, names)
            self._assign(new, free[: len(new)], [names.get(one, one) for one in new])

    def forward(self, ids: Tensor) -> Tensor:
        """Class of each label; labels that training never saw get negative numbers, each label its own.

        Losses with class weights skip negative groups, and others that share the batch still tell them apart.

        Args:
            ids: int64 `[B]`.

        Returns:
            int64 `[B]`, below G.
        """
        place = torch.searchsorted(self.ids, ids).clamp(max=len(self.labels) - 1)
        return torch.where(self.ids[place] == ids, self.classes[place], -1 - (ids & _62_BITS))

    def get_extra_state(self) -> list[Any]:
        """Labels for checkpoints; those that are no plain values as text."""
        plain = (str, int, float, bool, bytes, type(None))
        return [label if isinstance(label, plain) else repr(label) for label in self.labels]

    def set_extra_state(self, state: list[Any]) -> None:
        """Restores the labels."""
        self.labels = list(state)

    def _assign(self, ids: list[int], classes: list[int], labels: list[Any]) -> None:
        for one, label in zip(classes, labels, strict=True):
            self.labels[one] = label
        taken = self.ids != _FREE
        device = self.ids.device
        all_ids = torch.cat([self.ids[taken], torch.tensor(ids, device=device)])
        all_classes = torch.cat([self.classes[taken], torch.tensor(classes, device=device)])
        order = all_ids.argsort()
        self.ids[: len(order)] = all_ids[order]
        self.classes[: len(order)] = all_classes[order]


_FREE = 2**63 - 1
_62_BITS = 2**62 - 1


def _sorted(ids: list[int], names: dict[int, Any]) -> list[int]:
    try:
        return sorted(ids, key=lambda one: names.get(one, one))
    except TypeError:
        return sorted(ids)
