"""From a row's values to a sample, with what is odd about rows noted."""

from abc import ABC, abstractmethod
from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np
from torch import Tensor

from quaterion.dataset.files.columns import Roles
from quaterion.dataset.files.samples import Remark, RemarkKind
from quaterion.dataset.files.scores import score_of
from quaterion.dataset.files.table import MISSING, Table
from quaterion.dataset.files.text_lines import byte_problem
from quaterion.dataset.labels import group_id
from quaterion.dataset.similarity_samples import SimilarityGroupSample, SimilarityPairSample
from quaterion_models.content_key import content_key

__all__ = ["GroupRows", "PairRows", "SampleRows"]


class SampleRows(ABC):
    """Collects samples and remarks.

    Args:
        table: Where the rows come from.
        roles: Its columns, in whose order `add` gets values.
    """

    def __init__(self, table: Table, roles: Roles) -> None:
        self.samples: list[Any] = []
        self.remarks: list[Remark] = []
        self._table, self._roles = table, roles
        self._seen: dict[Any, int] = {}

    @abstractmethod
    def add(self, place: int, values: Sequence[Any]) -> None:
        """Takes a row.

        Args:
            place: Where it is.
            values: Its values.
        """

    def remark(self, kind: RemarkKind, place: int, field: str | None, problem: str) -> None:
        """Notes something about a row."""
        self.remarks.append(Remark(kind, place, field, problem))

    def _usable(self, place: int, column: str, value: Any) -> bool:
        """Whether a field holds an object; notes why not."""
        if isinstance(value, str):
            if value and not value.isspace():
                if not value.isascii() and (problem := byte_problem(value)):
                    self.remark("bad", place, column, problem)
                    return False
                return True
            self.remark("empty", place, column, "nothing is in it")
        elif value is MISSING:
            self.remark("bad", place, column, "the field is missing; give every row all its fields")
        elif _is_empty(value):
            self.remark("empty", place, column, "nothing is in it")
        elif self._table.only_text and isinstance(value, int | float):
            self.remark("bad", place, column, f"{value!r} is a number; expected a text in quotes")
        else:
            return True
        return False

    def _is_repeated(self, key: Any, place: int) -> bool:
        first = self._seen.setdefault(key, place)
        if first == place:
            return False
        self.remark("duplicate", place, None, f"says what {self._table.unit} {first:,} says")
        return True


class GroupRows(SampleRows):
    """Rows of an object and its group."""

    def __init__(self, table: Table, roles: Roles) -> None:
        super().__init__(table, roles)
        self._text, self._group = roles.columns["text"], roles.columns["group"]
        self._groups: dict[Any, tuple[int, Any]] = {}

    def add(self, place: int, values: Sequence[Any]) -> None:
        """See `SampleRows.add`."""
        obj, group = values
        if isinstance(group, np.generic | Tensor) and group.ndim == 0:
            group = group.item()
        if not self._usable(place, self._text, obj) or not self._has_group(place, group):
            return
        group = group.strip() if isinstance(group, str) else group
        content = _content(obj)
        if self._is_repeated((content, group), place):
            return
        first, other = self._groups.setdefault(content, (place, group))
        if other != group:
            where = f"{self._table.unit} {first:,}"
            self.remark("conflict", place, self._group, f"{group!r}, but the same object is {other!r} in {where}")
        self.samples.append(SimilarityGroupSample(obj, group))

    def _has_group(self, place: int, group: Any) -> bool:
        if isinstance(group, str) or group is MISSING or _is_empty(group):
            return self._usable(place, self._group, group)
        try:
            group_id(group)
        except (TypeError, ValueError):
            what = "an int of more than 64 bits" if isinstance(group, int) else f"a {type(group).__name__}"
            self.remark("bad", place, self._group, f"{what} is no group; expected a text or a number")
            return False
        return True


class PairRows(SampleRows):
    """Rows of two objects, perhaps with negatives, perhaps with a score."""

    def __init__(self, table: Table, roles: Roles) -> None:
        super().__init__(table, roles)
        self._scores: dict[Any, tuple[int, float]] = {}

    def add(self, place: int, values: Sequence[Any]) -> None:
        """See `SampleRows.add`."""
        columns = self._roles.columns
        anchor, positive, *rest = values
        usable = self._usable(place, columns["anchor"], anchor) and self._usable(place, columns["positive"], positive)
        if not usable:
            return
        score = 1.0
        if "score" in columns:
            number = self._score(place, columns["score"], rest.pop(0))
            if number is None:
                return
            score = number
        pair = (_content(anchor), _content(positive))
        negatives = self._negatives(place, pair, rest)
        if negatives is None:
            return
        repeated = self._is_repeated((*pair, score, *map(_content, negatives)), place)
        if repeated and "score" not in columns:
            return
        first, other = self._scores.setdefault(pair, (place, score))
        if other != score:
            where = f"{self._table.unit} {first:,}"
            self.remark("conflict", place, columns["score"], f"{score:g}, but the same pair has {other:g} in {where}")
        self.samples.append(SimilarityPairSample(anchor, positive, score, negatives=negatives))

    def _score(self, place: int, column: str, value: Any) -> float | None:
        if value is MISSING or _is_empty(value) or (isinstance(value, str) and not value.strip()):
            self._usable(place, column, value)
            return None
        score = score_of(value)
        if isinstance(score, float):
            return score
        self.remark("bad", place, column, score)
        return None

    def _negatives(self, place: int, pair: tuple[Any, Any], values: Sequence[Any]) -> list[Any] | None:
        """Objects that are neither empty nor the positive; None where one is unusable."""
        negatives = []
        for column, value in zip(self._roles.negatives, values, strict=True):
            for negative in value if isinstance(value, list | tuple) else [value]:
                if negative is MISSING or _is_empty(negative) or (isinstance(negative, str) and not negative.strip()):
                    continue
                if not self._usable(place, column, negative):
                    return None
                if _content(negative) == pair[1]:
                    self.remark("conflict", place, column, "a negative is the positive itself, and was left out")
                else:
                    negatives.append(negative)
        return negatives


def _is_empty(value: Any) -> bool:
    """Whether a value stands for none: None, NaN, and what pandas has for that."""
    if value is None or type(value).__name__ in {"NAType", "NaTType"}:
        return True
    return isinstance(value, float | np.floating) and bool(value != value)


def _content(obj: Any) -> Hashable:
    """A value that is equal for objects of equal content; no other's where the content cannot be read."""
    if isinstance(obj, str):
        return obj
    try:
        return content_key(obj)
    except TypeError:
        return object()
