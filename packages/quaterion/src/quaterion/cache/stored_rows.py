"""The closed rows of a store: in segments, found by key."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from quaterion.cache.key_index import KeyIndex
from quaterion.cache.key_runs import KeyRuns
from quaterion.cache.manifest import KEY_BYTES, Manifest, Shard
from quaterion.cache.parts import Part
from quaterion.cache.segments import MemorySegment, Segment, merged

__all__ = ["StoredRows"]

Keys = NDArray[np.uint8]


class StoredRows:
    """Rows in the order in which they were added; those that come keep the numbers of those that are there.

    Args:
        about: What the rows are; its shards do not count.

    Example:
        >>> rows = StoredRows(Manifest(fingerprint="f0", encoder="E", dimension=2, dtype="float32"))
        >>> keys = np.arange(32, dtype=np.uint8).reshape(2, 16)
        >>> rows.add_arrays(keys, np.array([[1.0, 2.0], [3.0, 4.0]], dtype=np.float32))
        >>> rows.take(rows.find(keys[1:])).tolist()
        [[3.0, 4.0]]
    """

    def __init__(self, about: Manifest) -> None:
        self._about = about
        self._segments: list[Segment] = []
        self._index: KeyIndex | KeyRuns | None = None

    def __len__(self) -> int:
        """Number of rows."""
        return sum(len(segment.keys) for segment in self._segments)

    @property
    def segments(self) -> Sequence[Segment]:
        """The runs that the rows lie in."""
        return tuple(self._segments)

    @property
    def keys(self) -> Keys:
        """Keys of all rows, uint8 `[N, 16]`, not to be written into."""
        return _joined([segment.keys for segment in self._segments], KEY_BYTES, "uint8")

    @property
    def vectors(self) -> NDArray[Any]:
        """Vectors of all rows, `[N, D]`, not to be written into; not copied where they lie side by side."""
        return _joined([segment.vectors for segment in self._segments], self._about.dimension, self._about.dtype)

    @property
    def tensor(self) -> Tensor | None:
        """Vectors of all rows, not copied, where they lie side by side; else None."""
        return self._segments[0].tensor if len(self._segments) == 1 else None

    def find(self, keys: Keys) -> NDArray[np.int64]:
        """Row of each key, the first one of token states; −1 for keys that are not there.

        Args:
            keys: uint8 `[M, 16]`.

        Returns:
            int64 `[M]`.
        """
        return self._indexed().rows(keys)

    def counts(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """How many rows objects have: their tokens, or 1 for a vector.

        Args:
            rows: int64 `[M]`, as `find` gives them.

        Returns:
            int64 `[M]`.
        """
        index = self._indexed()
        return index.counts(rows) if isinstance(index, KeyRuns) else np.ones(len(rows), dtype=np.int64)

    def take(self, rows: NDArray[np.int64] | Tensor) -> Tensor:
        """Vectors of the given rows, copied into one tensor.

        Args:
            rows: int64 `[M]`, each in 0..N−1.

        Returns:
            `[M, D]` in the precision of the rows.
        """
        wanted = torch.as_tensor(rows, dtype=torch.int64)
        if len(self._segments) == 1:
            return self._segments[0].tensor.index_select(0, wanted)
        taken = torch.empty((len(wanted), self._about.dimension), dtype=getattr(torch, self._about.dtype))
        start = 0
        for segment in self._segments:
            stop = start + len(segment.keys)
            here = ((wanted >= start) & (wanted < stop)).nonzero().flatten()
            if len(here):
                taken[here] = segment.tensor.index_select(0, wanted[here] - start)
            start = stop
        return taken

    def add_arrays(self, keys: Keys, vectors: NDArray[Any]) -> None:
        """Adds rows in memory.

        Args:
            keys: uint8 `[n, 16]`.
            vectors: `[n, D]`.
        """
        # Segments double in size, so that N rows are copied log N times and lie in a few long runs.
        while self._segments and len(self._segments[-1].keys) <= len(keys):
            last = self._segments.pop()
            keys, vectors = np.concatenate([last.keys, keys]), np.concatenate([last.vectors, vectors])
        self._segments.append(MemorySegment(keys, vectors))
        self._index = None

    def add_shard(self, folder: Path, shard: Shard) -> None:
        """Adds the rows of a shard, which are mapped and not read.

        Args:
            folder: The store's folder.
            shard: A shard whose rows are whole.
        """
        part = Part(folder, shard.part, self._about.dimension, self._about.dtype)
        self._segments = merged(self._segments, part, shard)
        self._index = None

    def join(self) -> None:
        """Puts what is kept in memory into one run, so that a batch is one `index_select`."""
        if len(self._segments) > 1:
            self._segments = [MemorySegment(self.keys, self.vectors)]

    def forget_index(self) -> None:
        """Frees the memory of the index of keys, which is built again when it is needed."""
        self._index = None

    def _indexed(self) -> KeyIndex | KeyRuns:
        if self._index is None:
            tokens = self._about.kind == "token"
            self._index = KeyRuns(segment.keys for segment in self._segments) if tokens else KeyIndex(self.keys)
        return self._index


def _joined(arrays: list[NDArray[Any]], width: int, dtype: str) -> NDArray[Any]:
    if len(arrays) == 1:
        whole = arrays[0].view()
        whole.flags.writeable = False  # the store's own memory
        return whole
    return np.concatenate([np.empty((0, width), dtype=dtype), *arrays])
