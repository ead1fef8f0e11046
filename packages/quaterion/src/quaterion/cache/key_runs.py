"""Rows of one key that lie side by side: the tokens of an object, in a store of token states."""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from quaterion.cache.key_index import KeyIndex

__all__ = ["KeyRuns"]

Keys = NDArray[np.uint8]
Rows = NDArray[np.int64]


class KeyRuns:
    """Finds the run of rows of each key; 28 bytes a run, none for a single row.

    Args:
        segments: Keys of all rows, uint8 `[n, 16]` for each segment; no run goes on in the next one.

    Example:
        >>> runs = KeyRuns([np.repeat(np.array([[5], [5], [3]], dtype=np.uint8), 16, axis=1)])
        >>> runs.rows(np.full((1, 16), 5, dtype=np.uint8)).tolist(), runs.counts(np.array([0, 2])).tolist()
        ([0], [2, 1])
    """

    def __init__(self, segments: Iterable[Keys]) -> None:
        starts, keys, end = [np.empty(0, dtype=np.int64)], [np.empty((0, 16), dtype=np.uint8)], 0
        for segment in segments:
            words = np.ascontiguousarray(segment).view("<u8")
            new = np.ones(len(words), dtype=bool)
            new[1:] = (words[1:, 0] != words[:-1, 0]) | (words[1:, 1] != words[:-1, 1])
            first = np.flatnonzero(new)
            starts.append(first + end)
            keys.append(np.array(segment[first]))
            end += len(segment)
        self._starts = np.concatenate(starts)
        self._counts = np.diff(self._starts, append=end)
        self._index = KeyIndex(np.concatenate(keys))

    def rows(self, keys: Keys) -> Rows:
        """First row of each key, −1 where it is unknown.

        Args:
            keys: uint8 `[M, 16]`.

        Returns:
            int64 `[M]`.
        """
        run = self._index.rows(keys)
        return np.where(run < 0, -1, self._starts[run]) if len(self._starts) else run

    def counts(self, rows: Rows) -> Rows:
        """How many rows each run has.

        Args:
            rows: int64 `[M]`, first rows, as `rows` gives them.

        Returns:
            int64 `[M]`.
        """
        return self._counts[np.searchsorted(self._starts, rows)]
