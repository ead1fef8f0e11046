"""Vectors, ids and payloads in memory or mapped from files."""

from __future__ import annotations

import json
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from quaterion_models.search.columns import Columns
from quaterion_models.search.files import IndexFolderError
from quaterion_models.search.filters import Condition
from quaterion_models.search.vector_index import Id

_SEGMENT_NUMBERS = 2**24
_LINES_AT_A_TIME = 1000


class Segment(NamedTuple):
    """Objects that lie together.

    Attributes:
        vectors: float32 `[N, dimension]`, of length 1.
        lines: For each its id and payload, as `quaterion_models.search.given.object_lines` writes them.
    """

    vectors: NDArray[np.float32]
    lines: Sequence[bytes]


class StoredVectors:
    """The objects of an index in rows; a row keeps its number when others are deleted.

    Args:
        dimension: Numbers in a vector.
        segments: Objects that are there already.
        live: For each of them whether it was not deleted; by default none was.
    """

    def __init__(self, dimension: int, segments: Iterable[Segment] = (), live: NDArray[np.bool_] | None = None) -> None:
        self.dimension = dimension
        self._segments = list(segments)
        self._starts = [0]  # first row of each segment, and the first after all of them
        for segment in self._segments:
            self._starts.append(self._starts[-1] + len(segment.vectors))
        # A bytearray grows in place; what searches see is a copy of it.
        self._live = bytearray(b"\1" * self.rows if live is None else live.tobytes())
        self._dead = 0 if live is None else int(len(live) - live.sum())
        self._open: tuple[NDArray[np.float32], list[bytes]] | None = None
        self._rows_of: dict[Id, int] | None = None
        self._columns = Columns(self._all_payloads)

    @property
    def rows(self) -> int:
        """Rows, deleted ones among them."""
        return self._starts[-1]

    def __len__(self) -> int:
        return self.rows - self._dead

    def append(self, ids: Sequence[Id], vectors: NDArray[np.float32], lines: Sequence[bytes]) -> None:
        """Adds objects that have been checked: of length 1, with ids that are not there."""
        rows_of, first, done = self._ids(), self.rows, 0
        while done < len(ids):
            buffer, kept = self._room()
            some = slice(done, done + len(buffer) - len(kept))
            added = vectors[some]
            buffer[len(kept) : len(kept) + len(added)] = added
            kept.extend(lines[some])
            # The same buffer, with more of its rows in sight; segments that a search looks at stay as they are.
            self._segments[-1] = Segment(buffer[: len(kept)], kept)
            self._starts[-1] = self._starts[-2] + len(kept)
            done += len(added)
        self._live.extend(b"\1" * len(ids))
        rows_of.update(zip(ids, range(first, self.rows), strict=True))

    def held(self, ids: Sequence[Id]) -> list[bool]:
        """Tells for each id whether it is there."""
        rows_of = self._ids()
        return [one in rows_of for one in ids]

    def payloads(self, ids: Sequence[Id]) -> list[dict[str, Any] | None]:
        """Reads for each id its payload; None where it is not there."""
        rows = [self._ids().get(one) for one in ids]
        return [None if row is None else self.object_at(row)[1] for row in rows]

    def delete(self, ids: Sequence[Id]) -> int:
        """Deletes the objects that are there, and tells how many."""
        rows_of = self._ids()
        rows = [rows_of.pop(one) for one in ids if one in rows_of]
        for row in rows:
            self._live[row] = 0
        self._dead += len(rows)
        return len(rows)

    def live(self) -> NDArray[np.bool_]:
        """Tells for each row whether it was not deleted."""
        return np.frombuffer(bytes(self._live), dtype=bool)

    def allowed(self, conditions: Sequence[Condition]) -> NDArray[np.bool_] | None:
        """Finds the rows that are not deleted and fulfil conditions.

        Returns:
            `[rows]`, or None for all.

        Raises:
            ValueError: If no object has a field of the conditions.
        """
        if not self._dead and not conditions:
            return None
        allowed = self.live()
        for condition in conditions:
            allowed = allowed & self._columns.accepted(condition, self.rows)
        return allowed

    def blocks(self, size: int, first: int = 0) -> Iterator[tuple[int, NDArray[np.float32]]]:
        """Gives the vectors in blocks.

        Args:
            size: Rows in a block, at the most.
            first: The row to begin with.

        Yields:
            A first row, and vectors.
        """
        for start, segment in zip(self._starts, list(self._segments), strict=False):
            for row in range(max(first - start, 0), len(segment.vectors), size):
                yield start + row, segment.vectors[row : row + size]

    def lines(self, first: int = 0) -> Iterator[bytes]:
        """Gives ids and payloads as they are written, from a row on."""
        for start, segment in zip(self._starts, list(self._segments), strict=False):
            if start + len(segment.vectors) > first:
                yield from islice(segment.lines, max(first - start, 0), len(segment.vectors))

    def take(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """Copies vectors of rows `[N]` into `[N, dimension]`."""
        result = np.empty((len(rows), self.dimension), dtype=np.float32)
        numbers = np.searchsorted(np.array(self._starts), rows, side="right") - 1
        for number in np.unique(numbers):
            here = numbers == number
            result[here] = self._segments[number].vectors[rows[here] - self._starts[number]]
        return result

    def object_at(self, row: int) -> tuple[Id, dict[str, Any]]:
        """Reads the id and payload of a row."""
        number = bisect_right(self._starts, row) - 1
        return parsed(self._segments[number].lines[row - self._starts[number]])

    def compacted(self) -> StoredVectors:
        """Copies what is not deleted; rows have other numbers there."""
        result = StoredVectors(self.dimension)
        live = self.live()
        lines = self.lines()
        for start, vectors in self.blocks(8192):
            here = live[start : start + len(vectors)]
            kept = [line for line, keep in zip(islice(lines, len(vectors)), here, strict=True) if keep]
            result.append([parsed(line)[0] for line in kept], vectors[here], kept)
        return result

    def _room(self) -> tuple[NDArray[np.float32], list[bytes]]:
        """The buffer that is being filled, with room for one more; memory is taken only as it is filled."""
        if self._open is None or len(self._open[1]) == len(self._open[0]):
            size = max(_SEGMENT_NUMBERS // self.dimension, 1)
            self._open = np.empty((size, self.dimension), dtype=np.float32), []
            self._segments.append(Segment(self._open[0][:0], self._open[1]))
            self._starts.append(self._starts[-1])
        return self._open

    def _ids(self) -> dict[Id, int]:
        # Made when it is first needed, because a search does not.
        if self._rows_of is None:
            rows_of: dict[Id, int] = {}
            for row, (one, _) in enumerate(_all_parsed(self.lines())):
                if self._live[row] and rows_of.setdefault(one, row) != row:
                    raise IndexFolderError(f"the index is damaged: it holds {one!r:.50} twice. Make it again")
            self._rows_of = rows_of
        return self._rows_of

    def _all_payloads(self, first: int) -> Iterator[dict[str, Any]]:
        return (payload for _, payload in _all_parsed(self.lines(first)))


def parsed(line: bytes) -> tuple[Id, dict[str, Any]]:
    """Reads what `quaterion_models.search.given.object_lines` wrote.

    Args:
        line: One line.

    Returns:
        An id and a payload.

    Raises:
        IndexFolderError: If it is anything else.

    Example:
        >>> parsed(b'["a",{"lang":"en"}]')
        ('a', {'lang': 'en'})
    """
    try:
        return _checked(json.loads(line.decode()))
    except (ValueError, RecursionError) as error:
        raise IndexFolderError(f"the index is damaged: {line!r:.100} is no id with a payload. Make it again") from error


def _all_parsed(lines: Iterable[bytes]) -> Iterator[tuple[Id, dict[str, Any]]]:
    lines = iter(lines)
    while some := list(islice(lines, _LINES_AT_A_TIME)):
        try:  # one call for many lines takes a third of the time
            found = json.loads(b"[%s]" % b",".join(some))
            objects = [_checked(one) for one in found] if len(found) == len(some) else []
        except (ValueError, RecursionError):
            objects = []
        yield from objects or [parsed(line) for line in some]  # where one is damaged, that one is named


def _checked(content: Any) -> tuple[Id, dict[str, Any]]:
    if isinstance(content, list) and len(content) == 2:
        one, payload = content
        if isinstance(one, str | int) and not isinstance(one, bool) and isinstance(payload, dict):
            return one, payload
    raise ValueError("no id with a payload")
