"""Side information of a batch, held as a table of distinct dicts and one code a row."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, overload

import torch
from torch import Tensor

from quaterion_models.content_key import content_key


class Meta:
    """One dict of side information for each row of a batch, with equal dicts stored once.

    Reads like a list of dicts. Inside it is a short table and a tensor of codes, so that a batch drawn from a cache
    can be routed through a `SwitchHead` without a Python object for each row.

    Args:
        table: Distinct dicts.
        codes: `[B]` int64 on the CPU: row `i` has the dict `table[codes[i]]`.

    Raises:
        ValueError: If a code points outside the table, or `codes` has another shape or dtype.

    Example:
        >>> meta = Meta.of([{"encoder": "text"}, {"encoder": "image"}, {"encoder": "text"}])
        >>> meta[2], len(meta), meta.codes.tolist()
        ({'encoder': 'text'}, 3, [0, 1, 0])
        >>> list(meta.take(torch.tensor([1])))
        [{'encoder': 'image'}]
    """

    # Deliberately no collections.abc.Sequence: Lightning rebuilds every sequence of a batch, element by element.
    __slots__ = ("codes", "table")

    def __init__(self, table: list[dict[str, Any]], codes: Tensor) -> None:
        if codes.dim() != 1 or codes.dtype != torch.int64 or codes.device.type != "cpu":
            raise ValueError(
                f"codes must be int64 [B] on the CPU, got {codes.dtype} {tuple(codes.shape)} on {codes.device}"
            )
        if len(codes) and not 0 <= int(codes.min()) <= int(codes.max()) < len(table):
            raise ValueError(f"codes must lie in 0..{len(table) - 1}, got {int(codes.min())}..{int(codes.max())}")
        self.table = table
        self.codes = codes

    @classmethod
    def of(cls, dicts: Sequence[dict[str, Any]] | Meta) -> Meta:
        """Builds the table from a list of dicts; a `Meta` comes back as it is.

        Args:
            dicts: One dict for each row. Values without a content key are kept, one table entry a row.

        Returns:
            The same information as a `Meta`.
        """
        if isinstance(dicts, Meta):
            return dicts
        places: dict[object, int] = {}
        table: list[dict[str, Any]] = []
        codes: list[int] = []
        for row, item in enumerate(dicts):
            place = places.setdefault(_distinct(item, row), len(table))
            if place == len(table):
                table.append(item)
            codes.append(place)
        return cls(table, torch.tensor(codes, dtype=torch.int64))

    @classmethod
    def empty(cls, rows: int) -> Meta:
        """Builds the side information of `rows` rows that have none."""
        return cls([{}], torch.zeros(rows, dtype=torch.int64))

    @classmethod
    def join(cls, parts: Iterable[Meta]) -> Meta:
        """Puts the rows of several metas one after the other."""
        parts = list(parts)
        table: list[dict[str, Any]] = []
        codes: list[Tensor] = [torch.zeros(0, dtype=torch.int64)]
        for part in parts:
            codes.append(part.codes + len(table))
            table += part.table
        small = cls.of(table)
        return cls(small.table, small.codes[torch.cat(codes)])

    def take(self, rows: Tensor) -> Meta:
        """Picks rows.

        Args:
            rows: `[R]` row numbers (int64), on any device.

        Returns:
            Their side information, with the same table.
        """
        return self._with(self.codes[rows.to("cpu")])

    def _with(self, codes: Tensor) -> Meta:
        # Codes taken from checked ones need no check: this runs in every training step.
        taken = object.__new__(Meta)
        taken.table = self.table
        taken.codes = codes
        return taken

    def __len__(self) -> int:
        return len(self.codes)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return (self.table[code] for code in self.codes.tolist())

    @overload
    def __getitem__(self, index: int) -> dict[str, Any]: ...
    @overload
    def __getitem__(self, index: slice) -> Meta: ...
    def __getitem__(self, index: int | slice) -> dict[str, Any] | Meta:
        if isinstance(index, slice):
            return self._with(self.codes[index])
        return self.table[int(self.codes[index])]

    def __repr__(self) -> str:
        return f"Meta(rows={len(self)}, table={self.table!r})"


def _distinct(item: dict[str, Any], row: int) -> object:
    if not item:
        return None
    if len(item) == 1:  # the usual case, {"encoder": name}, needs no hashing of contents
        ((key, value),) = item.items()
        if type(value) is str:
            return key, value
    try:
        return content_key(item)
    except TypeError:
        return row
