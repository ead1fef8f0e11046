"""Rows of 128-bit keys, found by binary search in arrays: 24 bytes a key, no Python object for any of them."""

import numpy as np
from numpy.typing import NDArray

__all__ = ["KeyIndex", "distinct_keys"]

Keys = NDArray[np.uint8]
Rows = NDArray[np.int64]


def _halves(keys: Keys) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    words = np.ascontiguousarray(keys).view(">u8").astype(np.uint64)
    return words[:, 0], words[:, 1]


class KeyIndex:
    """Finds the row of each key; of equal keys the first row counts.

    Args:
        keys: uint8 `[N, 16]`.

    Example:
        >>> keys = np.arange(32, dtype=np.uint8).reshape(2, 16)
        >>> KeyIndex(keys).rows(keys[::-1]).tolist()
        [1, 0]
    """

    def __init__(self, keys: Keys) -> None:
        high, low = _halves(keys)
        self._order: Rows = np.lexsort((low, high))  # stable: equal keys stay in row order
        self._high, self._low = high[self._order], low[self._order]
        starts = np.flatnonzero(np.diff(self._high, prepend=self._high[:1] + 1)) if len(keys) else np.empty(0, int)
        runs = np.diff(starts, append=len(keys))
        self._longest_run = int(runs.max()) if len(runs) else 0

    def rows(self, keys: Keys) -> Rows:
        """Row of each key, −1 where it is unknown.

        Args:
            keys: uint8 `[M, 16]`.

        Returns:
            int64 `[M]`.
        """
        high, low = _halves(keys)
        found = np.full(len(keys), -1, dtype=np.int64)
        position = np.searchsorted(self._high, high)
        # Keys that share their first half lie side by side; the longest such run is 1 but for equal keys.
        for step in range(self._longest_run):
            candidate = np.minimum(position + step, len(self._high) - 1)
            same = (found < 0) & (self._high[candidate] == high) & (self._low[candidate] == low)
            found[same] = self._order[candidate[same]]
        return found


def distinct_keys(keys: Keys) -> tuple[Rows, Rows]:
    """First place of each distinct key, and which distinct key stands at each place.

    Args:
        keys: uint8 `[T, 16]`.

    Returns:
        `first` int64 `[U]` in order of appearance, and `inverse` int64 `[T]` with `keys[first][inverse] == keys`.

    Example:
        >>> first, inverse = distinct_keys(np.repeat(np.array([[5], [3], [5]], dtype=np.uint8), 16, axis=1))
        >>> first.tolist(), inverse.tolist()
        ([0, 1], [0, 1, 0])
    """
    if not len(keys):
        return np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64)
    place = KeyIndex(keys).rows(keys)  # the first place of an equal key
    first, inverse = np.unique(place, return_inverse=True)
    return first, inverse.astype(np.int64)
