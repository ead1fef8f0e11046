"""Lines of a file, mapped into memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import overload

import numpy as np

from quaterion_models.search.files import IndexFolderError

_BYTES_AT_A_TIME = 2**24
_LINES_AT_A_TIME = 1000
_LINE_END = 10


class MappedLines(Sequence[bytes]):
    """The lines of a file without their ends; only those that are asked for are read.

    Args:
        path: The file; each of its lines has an end.
        count: How many lines it has.

    Raises:
        IndexFolderError: If it has another number of lines.
    """

    def __init__(self, path: Path, count: int) -> None:
        self._bytes = np.memmap(path, dtype=np.uint8, mode="r") if path.stat().st_size else np.empty(0, np.uint8)
        ends = (
            np.flatnonzero(self._bytes[start : start + _BYTES_AT_A_TIME] == _LINE_END) + start + 1
            for start in range(0, len(self._bytes), _BYTES_AT_A_TIME)
        )
        self._ends = np.concatenate([np.zeros(1, dtype=np.int64), *ends])
        if len(self) != count or self._ends[-1] != len(self._bytes):
            raise IndexFolderError(f"{path} has {len(self)} lines, expected {count}. Make the index again")

    def __len__(self) -> int:
        return len(self._ends) - 1

    def __iter__(self) -> Iterator[bytes]:
        for start in range(0, len(self), _LINES_AT_A_TIME):
            stop = min(start + _LINES_AT_A_TIME, len(self))
            yield from self._bytes[self._ends[start] : self._ends[stop] - 1].tobytes().split(b"\n")

    @overload
    def __getitem__(self, index: int) -> bytes: ...
    @overload
    def __getitem__(self, index: slice) -> list[bytes]: ...
    def __getitem__(self, index: int | slice) -> bytes | list[bytes]:
        if isinstance(index, slice):
            return [self[one] for one in range(len(self))[index]]
        row = range(len(self))[index]
        return self._bytes[self._ends[row] : self._ends[row + 1] - 1].tobytes()
