"""Groups and subgroups as int64: labels of nearly any kind become ids that are the same in every process."""

import dataclasses
import datetime as dt
import math
from collections.abc import Callable, Hashable, Iterable
from decimal import Decimal
from fractions import Fraction
from pathlib import PurePath, PureWindowsPath
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from quaterion_models.content_key import content_id, content_key
from quaterion_models.saving.arguments import decode_value, encode_value

__all__ = ["LabelIndex", "group_id", "group_ids"]


def group_id(label: Any) -> int:
    """An int64 id of a label: ints keep their value, other labels get a 64-bit digest of their value.

    Args:
        label: A number, a string, bytes, a path, a range, a date or time, a UUID, an enum member, or a tuple, named
            tuple, frozenset or dataclass of those. A tensor or numpy scalar counts as the value in it.

    Returns:
        The id, in every process the same and equal for labels that are equal in Python: 1, 1.0, True and
        Decimal("1") are one label, and so are (1, 2) and (1.0, 2.0).

    Raises:
        TypeError: The label is unhashable, or of a type that is not listed above.
        ValueError: The label is missing, is or holds NaN, or is an int beyond 64 bits.

    Example:
        >>> group_id(7), group_id(7.0), group_id("seven") == group_id("seven")
        (7, 7, True)
    """
    value = _comparable(label)
    if value is None:
        raise ValueError(
            "A group is None, so all objects without a label would be one group. Expected an int, a string or another "
            "hashable value: drop the row or give it a group."
        )
    if isinstance(value, int):
        if not -(2**63) <= value < 2**63:
            raise ValueError(f"A group is the int {value}, which does not fit 64 bits. Give it as a string instead.")
        return value
    return content_id(value)


def _comparable(label: Any) -> Any:
    """The same int, str, bytes, None or tagged tuple for labels that are equal, whatever their types."""
    if isinstance(label, torch.Tensor):
        if label.numel() != 1:
            raise TypeError(f"A group is a tensor of shape {list(label.shape)}. Expected one value for each object.")
        label = label.item()
    if isinstance(label, np.generic):
        label = label.item()
    for kind, comparable in _COMPARABLES.items():
        if isinstance(label, kind):
            return comparable(label)
    if not isinstance(label, Hashable):
        raise TypeError(
            f"A group is {label!r}, an unhashable {type(label).__name__}. "
            "Expected an int, a string or another hashable value (a tuple instead of a list)."
        )
    if dataclasses.is_dataclass(label):
        fields = [getattr(label, field.name) for field in dataclasses.fields(label) if field.compare]
        return ("dataclass", type(label).__module__, type(label).__qualname__, *map(_comparable, fields))
    try:
        return ("content", content_key(label))
    except TypeError as error:
        raise TypeError(
            f"A group is {label!r} of type {type(label).__name__}, whose content cannot be read. Expected a number, a "
            "string, bytes, a path, a range, a date or time, a UUID, an enum member, or a tuple, frozenset or "
            "dataclass of those: give what tells your groups apart as one of them, such as str(label)."
        ) from error


def _comparable_number(number: complex | Decimal | Fraction) -> Any:
    if number != number:  # only NaN is not, whatever its type
        raise ValueError(
            "A group is NaN, which equals no other value, so the object would belong to no group. "
            "Expected an int, a string or another hashable value: drop the row or give it a group."
        )
    if isinstance(number, complex):
        if number.imag:
            return ("complex", _comparable_number(number.real), _comparable_number(number.imag))
        number = number.real
    if not isinstance(number, Fraction) and not math.isfinite(number):
        return ("infinity", number > 0)
    exact = Fraction(number)
    return exact.numerator if exact.denominator == 1 else ("fraction", exact.numerator, exact.denominator)


def _comparable_path(path: PurePath) -> tuple[str, str]:
    text = path.as_posix()
    return ("Windows path", text.lower()) if isinstance(path, PureWindowsPath) else ("path", text)


def _comparable_time(time: dt.datetime) -> tuple[str, bytes]:
    return "time", content_key(time if time.utcoffset() is None else time.astimezone(dt.UTC))


_COMPARABLES: dict[Any, Callable[[Any], Any]] = {
    int: int,  # of which bool and IntEnum are kinds
    str: str.__str__,  # of which StrEnum is a kind
    bytes | None: lambda label: label,
    float | complex | Decimal | Fraction: _comparable_number,
    tuple: lambda label: ("tuple", *map(_comparable, label)),
    frozenset: lambda label: ("frozenset", frozenset(map(_comparable, label))),
    range: lambda label: ("range", len(label), *label[:2]),  # ranges are equal that hold the same numbers
    PurePath: _comparable_path,
    dt.datetime: _comparable_time,
}


def group_ids(labels: Iterable[Any]) -> Tensor:
    """Ids of many labels.

    Args:
        labels: Any iterable of labels as `group_id` takes them.

    Returns:
        int64 tensor `[N]`.

    Raises:
        TypeError: A label cannot be taken; the message names its position.
        ValueError: A label is missing or NaN; the message names its position.

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

    Where all labels of a data set are ints in 0..G−1 they keep their values, and rows of ints that it lacks stay free.
    Other labels are numbered in their sorted order (that of their ids where they cannot be compared), whatever the
    order of the data. Labels of a later data set get the rows that are still free. The index is a part of the model:
    checkpoints hold it.

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
        """Takes up the labels of a training set; those that are known keep their classes.

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
        self._restore(names)
        free = sorted(set(range(size)) - set(self.classes.tolist()))
        if set(new) <= set(free):
            self._assign(new, new, new)
        else:
            new = _sorted(new, names)
            self._assign(new, free[: len(new)], [names.get(one, one) for one in new])

    def follow(self, other: "LabelIndex") -> None:
        """Takes over the classes of an index that has as many or fewer.

        Args:
            other: The other index.
        """
        size, own_size = len(other.labels), len(self.labels)
        self.labels = [*other.labels, *[None] * (own_size - size)]
        self.ids[:size], self.ids[size:] = other.ids, _FREE
        self.classes[:size], self.classes[size:] = other.classes, -1

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
        """Labels for checkpoints, as a saved model's file has them; those that it cannot have as text."""
        return [_encoded(label) for label in self.labels]

    def set_extra_state(self, state: list[Any]) -> None:
        """Restores the labels."""
        self.labels = [decode_value(label) for label in state]

    def _restore(self, names: dict[int, Any]) -> None:
        """Puts labels in place of the text that a checkpoint had for them."""
        for one, place in zip(self.ids.tolist(), self.classes.tolist(), strict=True):
            if one in names and self.labels[place] != names[one]:
                self.labels[place] = names[one]

    def _assign(self, ids: list[int], classes: list[int], labels: list[Any]) -> None:
        for one, label in zip(classes, labels, strict=True):
            self.labels[one] = label
        taken = self.ids != _FREE
        device = self.ids.device
        all_ids = torch.cat([self.ids[taken], torch.tensor(ids, dtype=torch.int64, device=device)])
        all_classes = torch.cat([self.classes[taken], torch.tensor(classes, dtype=torch.int64, device=device)])
        order = all_ids.argsort()
        self.ids[: len(order)] = all_ids[order]
        self.classes[: len(order)] = all_classes[order]


_FREE = 2**63 - 1
_62_BITS = 2**62 - 1


def _encoded(label: Any) -> Any:
    try:
        return encode_value(label)
    except TypeError:
        return repr(label)


def _sorted(ids: list[int], names: dict[int, Any]) -> list[int]:
    try:
        return sorted(ids, key=lambda one: names.get(one, one))
    except TypeError:
        return sorted(ids)
