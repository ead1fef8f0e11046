"""A table of vectors by key or row number: an array in memory or a mapped file, and an index of its keys."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quaterion_models.content_key import content_key
from quaterion_models.encoders.array_files import OpenedFiles, mapped_array
from quaterion_models.extras import require

_VECTORS = "vectors.npy"
_KEYS = "keys.npy"
_KEY_BYTES = 16


class VectorLookup:
    """Vectors that objects stand for.

    Args:
        vectors: `[N, D]` of real numbers.
        keys: uint8 `[N, 16]`, the content key of the object that each row belongs to; None where objects are row
            numbers.
        source: What to call the table in messages.
        file: The `.npy` file that `vectors` is mapped from. Copies in other processes map it again.

    Raises:
        ValueError: If shapes do not fit, or two rows have the same key.
    """

    def __init__(
        self, vectors: NDArray[Any], keys: NDArray[np.uint8] | None, source: str, *, file: Path | None = None
    ) -> None:
        if vectors.ndim != 2 or vectors.shape[1] < 1 or vectors.dtype.kind not in "biuf":
            raise ValueError(
                f"{source} has an array of shape {list(vectors.shape)} and dtype {vectors.dtype}, expected "
                "[rows, size] of real numbers"
            )
        if keys is not None and (keys.dtype != np.uint8 or keys.shape != (len(vectors), _KEY_BYTES)):
            raise ValueError(f"{source} has {len(vectors)} vectors and {len(keys)} keys, expected one key for each")
        self._vectors = vectors
        self._keys = keys
        self._source = source
        self._file = file
        self._opened = OpenedFiles([] if file is None else [file], mapped=True)
        if keys is not None:
            texts = np.ascontiguousarray(keys).view(f"S{_KEY_BYTES}").ravel()
            self._order = texts.argsort(kind="stable")
            self._sorted = texts[self._order]
            twice = np.flatnonzero(self._sorted[1:] == self._sorted[:-1])
            if len(twice):
                first, second = self._order[twice[0] : twice[0] + 2].tolist()
                raise ValueError(f"{source} has the same key in the rows {first} and {second}, expected each key once")

    @classmethod
    def from_npy(cls, path: Path, keys: Sequence[Any] | None) -> VectorLookup:
        """Maps a `.npy` file; nothing of it is read before it is needed, and never a pickle.

        Args:
            path: The file.
            keys: What the rows belong to; None where objects are row numbers.

        Returns:
            The table.

        Raises:
            ValueError: If it is no whole `.npy` file of real numbers `[rows, size]`.
        """
        return cls(mapped_array(path), None if keys is None else _digests(keys), path.name, file=path)

    @classmethod
    def from_parquet(cls, path: Path, key: str, vector: str) -> VectorLookup:
        """Reads two columns of a Parquet file into memory.

        Args:
            path: The file.
            key: Column of what the rows belong to.
            vector: Column of lists of numbers.

        Returns:
            The table.

        Raises:
            ImportError: If pyarrow is not installed.
            ValueError: If it is no whole Parquet file, a column is missing, or a vector is missing or has another
                length than the others.
        """
        path.open("rb").close()  # an ordinary error where it cannot be opened
        parquet = require("pyarrow.parquet", extra="parquet")
        arrow_error: Any = require("pyarrow", extra="parquet").ArrowException
        try:
            names = parquet.ParquetFile(path).schema_arrow.names
            missing = [name for name in (key, vector) if name not in names]
            table = None if missing else parquet.read_table(path, columns=[key, vector])
        except (arrow_error, OSError) as error:
            raise ValueError(f"{path} is no whole Parquet file: {error!s:.200}. Write it again") from error
        if table is None:
            raise ValueError(f"{path} has no column {', '.join(map(repr, missing))}, it has {names}")
        keys = _digests(table.column(key).to_pylist())
        return cls(_column_of_vectors(table.column(vector), f"{path.name}, column {vector!r}"), keys, path.name)

    @classmethod
    def open(cls, folder: Path, *, keyed: bool) -> VectorLookup:
        """Opens what `save` wrote.

        Args:
            folder: The folder.
            keyed: Whether there are keys.

        Returns:
            The table.

        Raises:
            ValueError: If a file is missing or damaged.
        """
        keys = mapped_array(folder / _KEYS) if keyed else None
        return cls(mapped_array(folder / _VECTORS), keys, str(folder / _VECTORS), file=folder / _VECTORS)

    def save(self, folder: Path) -> None:
        """Writes vectors and keys into a folder.

        Args:
            folder: The folder.

        Raises:
            ValueError: If the mapped file has been changed in place.
        """
        self._opened.unchanged()
        np.save(folder / _VECTORS, self._vectors, allow_pickle=False)
        if self._keys is not None:
            np.save(folder / _KEYS, self._keys, allow_pickle=False)

    @property
    def size(self) -> int:
        """Length of the vectors."""
        return int(self._vectors.shape[1])

    @property
    def keyed(self) -> bool:
        """Whether objects are keys, not row numbers."""
        return self._keys is not None

    def row(self, obj: Any, which: str = "the object") -> int:
        """Finds the row of an object.

        Args:
            obj: A key or a row number.
            which: What to call it in a message.

        Returns:
            The row.

        Raises:
            TypeError: If it should be a row number and is no integer.
            ValueError: If there is no vector for it.
        """
        count = len(self._vectors)
        if self._keys is None:
            number = _integer(obj)
            if number is None:
                raise TypeError(
                    f"{which} is {obj!r:.80} of type {type(obj).__name__}, expected a row number of {self._source}. "
                    "For other keys pass keys=, one for each row"
                )
            if not 0 <= number < count:
                raise ValueError(f"{which} is the row number {number}: {self._source} has the rows 0..{count - 1}")
            return number
        wanted = np.frombuffer(_digest(obj), dtype=self._sorted.dtype)[0]
        place = int(np.searchsorted(self._sorted, wanted))
        if place == count or self._sorted[place] != wanted:
            raise ValueError(
                f"{which} is {obj!r:.80} of type {type(obj).__name__}: {self._source} has no vector for it, among "
                f"{count} keys. Add its vector, or leave the object out"
            )
        return int(self._order[place])

    def take(self, rows: list[int]) -> list[NDArray[Any]]:
        """Reads the vectors of rows."""
        return [np.asarray(self._vectors[row]) for row in rows]

    def digest(self) -> str:
        """Digests all vectors and keys: the same for a table in memory, its file, and a copy that was saved.

        Returns:
            32 hexadecimal digits.

        Raises:
            ValueError: If the mapped file has been changed in place.
        """
        return content_key((self._opened.digests([self._vectors]), self._keys)).hex()

    def __getstate__(self) -> dict[str, Any]:
        # A mapped file would be copied as a whole.
        return {**self.__dict__, "_vectors": None} if self._file is not None else self.__dict__

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        if self._file is not None:
            self._opened.check_same()
            self._vectors = mapped_array(self._file)


def _integer(obj: Any) -> int | None:
    """The value of an integer, in an array or a tensor too; None for a truth value, which is an index to Python."""
    if isinstance(obj, bool) or str(getattr(obj, "dtype", "")) in {"bool", "torch.bool"}:
        return None
    try:
        return operator.index(obj)
    except TypeError:
        return None


def _digests(keys: Sequence[Any]) -> NDArray[np.uint8]:
    return np.frombuffer(b"".join(map(_digest, keys)), dtype=np.uint8).reshape(-1, _KEY_BYTES)


def _digest(key: Any) -> bytes:
    # Ids often come out of arrays: numpy's 5 means what Python's 5 does.
    return content_key(key.item() if isinstance(key, np.generic) else key)


def _column_of_vectors(column: Any, what: str) -> NDArray[Any]:
    """An Arrow column of lists as `[N, D]`."""
    compute = require("pyarrow.compute", extra="parquet")
    types = require("pyarrow", extra="parquet").types
    kind = column.type
    is_list = types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind)
    if not is_list or not (types.is_floating(kind.value_type) or types.is_integer(kind.value_type)):
        raise ValueError(f"{what} is of type {kind}, expected lists of numbers")
    if column.null_count or not len(column):
        missing = f"row {column.is_null().index(True).as_py()} has no vector" if len(column) else "there are no rows"
        raise ValueError(f"{what}: {missing}, expected a list of numbers in each")
    lengths = compute.list_value_length(column).to_numpy()
    wrong = np.flatnonzero(lengths != lengths[0])
    if len(wrong):
        row = int(wrong[0])
        raise ValueError(f"{what}: row {row} has a vector of length {lengths[row]}, row 0 one of {lengths[0]}")
    flat = [chunk.flatten() for chunk in column.chunks]
    if any(part.null_count for part in flat):
        raise ValueError(f"{what}: there are vectors with missing numbers, expected finite numbers")
    return np.concatenate([part.to_numpy() for part in flat]).reshape(len(lengths), int(lengths[0]))
