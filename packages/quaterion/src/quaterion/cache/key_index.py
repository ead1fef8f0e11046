"""Rows of 128-bit keys, found by binary search in arrays: 12 bytes a key, no Python object for any of them."""

import numpy as np
from numpy.typing import NDArray

__all__ = ["KeyIndex", "distinct_keys"]

Keys = NDArray[np.uint8]
Rows = NDArray[np.int64]

BLOCK = 2**18
"""Keys looked up at a time, so that what is needed in between stays small beside the keys."""

_FACTORS = np.array([0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F], dtype=np.uint64)
"""Odd numbers with their bits well mixed."""


def _mixed(keys: Keys) -> NDArray[np.uint64]:
    """64 bits of each key that all its 128 bits have a part in, since a key of the user's own may begin with zeros.

    Keys with one half in common never have these bits in common: each step below can be undone.
    """
    mixed = np.empty(len(keys), dtype=np.uint64)
    for start in range(0, len(keys), BLOCK):
        halves = np.ascontiguousarray(keys[start : start + BLOCK]).view("<u8")
        first = halves[:, 0] * _FACTORS[0]
        first ^= first >> np.uint64(32)
        mixed[start : start + BLOCK] = (first + halves[:, 1]) * _FACTORS[1]
    return mixed


class KeyIndex:
    """Finds the row of each key; of equal keys the first row counts.

    Args:
        keys: uint8 `[N, 16]`; kept, not copied.

    Example:
        >>> keys = np.arange(32, dtype=np.uint8).reshape(2, 16)
        >>> KeyIndex(keys).rows(keys[::-1]).tolist()
        [1, 0]
    """

    def __init__(self, keys: Keys) -> None:
        mixed = _mixed(keys)
        order = mixed.argsort(kind="stable")  # equal keys stay in the order of their rows
        self._keys = keys
        self._order = order.astype(np.int32 if len(keys) < 2**31 else np.int64)
        self._mixed = mixed[order]
        starts = np.flatnonzero(np.diff(self._mixed, prepend=self._mixed[:1] + 1)) if len(keys) else np.empty(0, int)
        runs = np.diff(starts, append=len(keys))
        self._longest_run = int(runs.max()) if len(runs) else 0

    def rows(self, keys: Keys) -> Rows:
        """Row of each key, −1 where it is unknown.

        Args:
            keys: uint8 `[M, 16]`.

        Returns:
            int64 `[M]`.
        """
        found = np.full(len(keys), -1, dtype=np.int64)
        if self._longest_run:
            for start in range(0, len(keys), BLOCK):
                found[start : start + BLOCK] = self._rows_of_block(keys[start : start + BLOCK])
        return found

    def _rows_of_block(self, keys: Keys) -> Rows:
        mixed = _mixed(keys)
        found = np.full(len(keys), -1, dtype=np.int64)
        position = np.searchsorted(self._mixed, mixed)
        # Keys with the same mixed bits lie side by side; the longest such run is 1 but for equal keys.
        for step in range(self._longest_run):
            open_ = np.flatnonzero(found < 0)
            candidate = np.minimum(position[open_] + step, len(self._mixed) - 1)
            rows = self._order[candidate]
            # All 16 bytes are compared: the mixed bits of two keys may be equal where neither half is.
            near = self._mixed[candidate] == mixed[open_]
            same = near & (self._keys[rows] == keys[open_]).all(axis=1)
            found[open_[same]] = rows[same]
            if not near[~same].any():
                break  # nobody stands beside a key that is not its own
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
    place = KeyIndex(keys).rows(keys)  # the first place of an equal key
    new = place == np.arange(len(keys))
    return np.flatnonzero(new), (np.cumsum(new) - 1)[place]
