"""The files of a part: keys and vectors of its rows, appended to by one writer at a time."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quaterion.cache.files import write_at
from quaterion.cache.manifest import KEY_BYTES, Shard, digest

__all__ = ["Part"]


@dataclass(frozen=True)
class Part:
    """One pair of files in a store's folder.

    Args:
        folder: The store's folder.
        number: Number of the part.
        dimension: Length of a vector.
        dtype: "float32" or "float16".
    """

    folder: Path
    number: int
    dimension: int
    dtype: str

    @property
    def keys_file(self) -> Path:
        """File of the keys."""
        return self.folder / f"part-{self.number}.keys"

    @property
    def vectors_file(self) -> Path:
        """File of the vectors."""
        return self.folder / f"part-{self.number}.vectors"

    @property
    def row_bytes(self) -> int:
        """Bytes of a vector."""
        return self.dimension * self._stored.itemsize

    @property
    def _stored(self) -> np.dtype[Any]:
        return np.dtype(self.dtype).newbyteorder("<")

    def append(self, start: int, keys: NDArray[np.uint8], vectors: NDArray[Any]) -> Shard:
        """Writes rows and waits for the disk; nothing refers to them until a manifest does.

        Args:
            start: Row of the first one, behind all that count.
            keys: uint8 `[n, 16]`.
            vectors: `[n, D]`.

        Returns:
            The entry for the manifest.

        Raises:
            OSError: The rows could not be written; what was written of them is cut off.
        """
        key_bytes = _bytes_of(keys)
        vector_bytes = _bytes_of(vectors.astype(self._stored, copy=False))
        write_at(self.keys_file, start * KEY_BYTES, key_bytes)
        write_at(self.vectors_file, start * self.row_bytes, vector_bytes)
        return Shard(self.number, start, len(keys), digest(key_bytes), digest(vector_bytes))

    def cut(self, rows: int) -> None:
        """Cuts off whatever a dead writer left behind the rows that count.

        Args:
            rows: Rows that count.
        """
        for file, size in ((self.keys_file, rows * KEY_BYTES), (self.vectors_file, rows * self.row_bytes)):
            if file.exists() and file.stat().st_size > size:
                with file.open("r+b") as stream:
                    stream.truncate(size)

    def keys(self, start: int, rows: int) -> NDArray[np.uint8]:
        """Keys of rows, mapped from the file.

        Args:
            start: First row.
            rows: How many.

        Returns:
            uint8 `[rows, 16]`.
        """
        return _mapped(self.keys_file, np.dtype(np.uint8), start, (rows, KEY_BYTES))

    def vectors(self, start: int, rows: int) -> NDArray[Any]:
        """Vectors of rows, mapped from the file.

        Args:
            start: First row.
            rows: How many.

        Returns:
            `[rows, D]`.
        """
        return _mapped(self.vectors_file, self._stored, start, (rows, self.dimension))


def _bytes_of(array: NDArray[Any]) -> memoryview:
    return np.ascontiguousarray(array).reshape(-1).view(np.uint8).data


def _mapped(file: Path, dtype: np.dtype[Any], start: int, shape: tuple[int, int]) -> NDArray[Any]:
    if 0 in shape:
        return np.empty(shape, dtype)
    # A private mapping: torch takes it without a copy, and whoever writes to it changes a copy of the page, no file.
    offset = start * shape[1] * dtype.itemsize
    return np.memmap(file, dtype, mode="c", offset=offset, shape=shape)
