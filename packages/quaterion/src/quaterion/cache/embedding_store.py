"""Vectors of objects by content: in memory, or in a folder that outlives the process."""

import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from quaterion.cache.manifest import MANIFEST, DamagedManifestError, Manifest, Shard, read_manifest
from quaterion.cache.store_folder import StoreFolder
from quaterion.cache.stored_rows import StoredRows
from quaterion.cache.vector_table import content_keys, vector_table

__all__ = ["EmbeddingStore"]

SHARD_ROWS = 4096
TOKENS_PER_ROW = 16
"""How many times as many rows a shard of token states has."""
SHARD_SECONDS = 10.0

Keys = NDArray[np.uint8]


class EmbeddingStore:
    """An append-only table of content keys and the vectors that one encoder gives them.

    Vectors are added in shards. With a folder, a shard's bytes have reached the disk before the manifest names them,
    so whatever ends the process, all closed shards are whole and are found again. Every shard is compared with its
    checksum before its vectors are used; one that is damaged is named in a warning and encoded again. Several
    processes may read and fill one folder at once.

    Args:
        fingerprint: Fingerprint of the encoder that gives the vectors.
        dimension: Length of a vector.
        encoder: Readable name of the encoder.
        dtype: Precision of the stored vectors.
        folder: Where to keep them; None keeps them in memory only. Shards already there are read.
        kind: What a row is: an object's "vector", or the state of a "token". The tokens of an object are added in one
            call of `add`, each under the object's key; `rows` and `counts` find them.

    Raises:
        OSError: The folder cannot be created or written.
        ValueError: The folder holds vectors of another encoder, size or precision, or is of a newer format.

    Example:
        >>> store = EmbeddingStore(fingerprint="f0", dimension=2)
        >>> keys = np.arange(32, dtype=np.uint8).reshape(2, 16)
        >>> store.add(keys, np.array([[1.0, 2.0], [3.0, 4.0]], dtype=np.float32))
        >>> store.flush()
        >>> store.take(store.rows(keys[1:])).tolist()
        [[3.0, 4.0]]
    """

    def __init__(
        self,
        *,
        fingerprint: str,
        dimension: int,
        encoder: str = "",
        dtype: Literal["float32", "float16"] = "float32",
        folder: str | Path | None = None,
        kind: Literal["vector", "token"] = "vector",
    ) -> None:
        self._about = Manifest(fingerprint, encoder, dimension, dtype, kind)
        self._rows = StoredRows(self._about)
        self._open: list[tuple[Keys, NDArray[Any]]] = []
        self._opened_at = 0.0
        self._folder: StoreFolder | None = None
        if folder is not None:
            self._folder = StoreFolder(Path(folder).absolute(), self._about)
            self._accept(self._folder, *self._folder.create())

    @classmethod
    def open(cls, folder: str | Path) -> Self:
        """Opens the store in a folder to read it, whatever encoder filled it. Nothing in the folder changes.

        Damaged vectors are left out, with a warning. A store that is opened may be added to; from then on it is one
        that training uses.

        Args:
            folder: The store's folder.

        Raises:
            FileNotFoundError: There is no store in the folder.
            ValueError: The manifest is damaged.
        """
        try:
            manifest = read_manifest(Path(folder))
        except DamagedManifestError as error:
            raise ValueError(
                f"{error}, so nothing tells whose vectors these are. Train with this cache again, which sets it "
                "aside and encodes anew, or delete the folder."
            ) from error
        if manifest is None:
            raise FileNotFoundError(f"{folder} holds no embedding store: expected a {MANIFEST} in it.")
        store = cls(
            fingerprint=manifest.fingerprint,
            dimension=manifest.dimension,
            encoder=manifest.encoder,
            dtype="float16" if manifest.dtype == "float16" else "float32",
            kind="token" if manifest.kind == "token" else "vector",
        )
        store._folder = StoreFolder(Path(folder).absolute(), store._about, mends=False)
        store._accept(store._folder, *store._folder.whole_shards(manifest))
        return store

    @classmethod
    def from_vectors(
        cls,
        keys: Keys | Iterable[Any],
        vectors: NDArray[Any] | Tensor | Sequence[Sequence[float]],
        *,
        fingerprint: str = "",
        encoder: str = "vectors computed elsewhere",
        dtype: Literal["float32", "float16"] = "float32",
        folder: str | Path | None = None,
    ) -> Self:
        """Makes a store of vectors that were computed elsewhere: by an API, or read from Parquet or `.npy`.

        Args:
            keys: What the vectors belong to: N objects (texts, say), or their content keys as uint8 `[N, 16]`.
            vectors: `[N, D]`, finite.
            fingerprint: Whose vectors they are: `Encoder.fingerprint()` of the encoder that they stand in for, or a
                name and version of your own.
            encoder: Readable name of their origin.
            dtype: Precision to keep them in.
            folder: Where to keep them; None keeps them in memory. Vectors already there stay.

        Returns:
            The store.

        Raises:
            TypeError: An object's content cannot be read.
            ValueError: The numbers of keys and vectors differ, a vector is not finite, the vectors are no matrix, or
                one key has two different vectors.

        Example:
            >>> store = EmbeddingStore.from_vectors(["a", "b"], [[1.0, 0.0], [0.0, 1.0]])
            >>> store.vectors_of(["b"]).tolist()
            [[0.0, 1.0]]
        """
        digests, table = vector_table(keys, vectors, dtype)
        store = cls(fingerprint=fingerprint, dimension=table.shape[1], encoder=encoder, dtype=dtype, folder=folder)
        new = store.rows(digests) < 0
        for start in range(0, len(table), SHARD_ROWS):
            part = slice(start, start + SHARD_ROWS)
            if new[part].any():
                store.add(digests[part][new[part]], table[part][new[part]])
        store.flush()
        return store

    def alike(self, folder: Path | None) -> Self:
        """A store of the same encoder's rows in another place; it has those that lie there.

        Args:
            folder: The place; None for memory.
        """
        about = self._about
        return type(self)(
            fingerprint=about.fingerprint,
            dimension=about.dimension,
            encoder=about.encoder,
            dtype=self.dtype_name,  # type: ignore[arg-type]
            kind=self.kind,  # type: ignore[arg-type]
            folder=folder,
        )

    def copy_to(self, folder: Path | None) -> Self:
        """Copies all rows to another place, where none of them lies.

        Args:
            folder: The place; None for memory.

        Returns:
            The store there.
        """
        copied = self.alike(folder)
        for segment in self._rows.segments:
            copied.add(segment.keys, segment.vectors)
        copied.flush()
        return copied

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        """The store itself: who copies a model means its weights, not gigabytes of vectors."""
        return self

    def __len__(self) -> int:
        """Number of vectors in closed shards."""
        return len(self._rows)

    @property
    def fingerprint(self) -> str:
        """Fingerprint of the encoder that gives the vectors."""
        return self._about.fingerprint

    @property
    def encoder(self) -> str:
        """Readable name of the encoder."""
        return self._about.encoder

    @property
    def dtype_name(self) -> str:
        """Precision of the stored vectors, "float32" or "float16"."""
        return self._about.dtype

    @property
    def kind(self) -> str:
        """What a row is, "vector" or "token"."""
        return self._about.kind

    @property
    def folder(self) -> Path | None:
        """Where the vectors are kept, None for in memory."""
        return None if self._folder is None else self._folder.path

    @property
    def dimension(self) -> int:
        """Length of a vector."""
        return self._about.dimension

    @property
    def dtype(self) -> torch.dtype:
        """Precision of the stored vectors."""
        return torch.float16 if self._about.dtype == "float16" else torch.float32

    @property
    def keys(self) -> Keys:
        """Keys of all rows, uint8 `[N, 16]`."""
        return self._rows.keys

    @property
    def vectors(self) -> NDArray[Any]:
        """Vectors of all rows, `[N, D]`, as a plain array for other tools; not copied where they lie side by side."""
        return self._rows.vectors

    def rows(self, keys: Keys) -> NDArray[np.int64]:
        """Row of each key, the first one of token states; −1 for keys that no closed shard holds.

        Args:
            keys: uint8 `[M, 16]`.

        Returns:
            int64 `[M]`.
        """
        return self._rows.find(keys)

    def counts(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """How many rows objects have: their tokens, or 1 for a vector.

        Args:
            rows: int64 `[M]`, as `rows` gives them.

        Returns:
            int64 `[M]`.
        """
        return self._rows.counts(rows)

    @property
    def tensor(self) -> Tensor | None:
        """Vectors of all rows, not copied, where they lie side by side; else None."""
        return self._rows.tensor

    def forget_index(self) -> None:
        """Frees the memory of the index of keys (12 bytes a row), which is built again when it is needed."""
        self._rows.forget_index()

    def take(self, rows: NDArray[np.int64] | Tensor) -> Tensor:
        """Vectors of the given rows, copied into one tensor.

        Args:
            rows: int64 `[M]`, each in 0..N−1.

        Returns:
            `[M, D]` in the store's precision.
        """
        return self._rows.take(rows)

    def vectors_of(self, objects: Iterable[Any]) -> Tensor:
        """Vectors of objects.

        Args:
            objects: M objects, or their content keys as uint8 `[M, 16]`.

        Returns:
            `[M, D]` in the store's precision.

        Raises:
            KeyError: The store lacks one of them.
            ValueError: It holds states of tokens, several for an object.
        """
        if self.kind == "token":
            raise ValueError(
                "This store holds token states, several rows for each object, and no vectors. The rows of an object "
                "begin at rows(keys) and are counts(rows); take(...) reads them."
            )
        rows = self.rows(content_keys(objects))
        if (rows < 0).any():
            raise KeyError(f"The store lacks {int((rows < 0).sum())} of {len(rows)} objects, the first at "
                           f"{int((rows < 0).argmax())}.")  # fmt: skip
        return self.take(rows)

    def claim(self, keys: Keys) -> NDArray[np.bool_]:
        """Claims keys that this store will add, so that no other process encodes the same objects.

        Claims end when their vectors are added, with `flush`, or with the process.

        Args:
            keys: uint8 `[M, 16]`, none of which this store has.

        Returns:
            bool `[M]`, false where another process has the key, or claimed it first.
        """
        if self._folder is None:
            return np.ones(len(keys), dtype=bool)
        return self._folder.claim(keys)

    def add(self, keys: Keys, vectors: NDArray[Any]) -> None:
        """Adds a batch to the open shard, and closes the shard once it is full or old.

        Args:
            keys: uint8 `[n, 16]`.
            vectors: `[n, D]`.

        Raises:
            OSError: The shard could not be written; all earlier ones are kept.
        """
        if not self._open:
            self._opened_at = time.monotonic()
        self._open.append((keys, vectors.astype(self._about.dtype, copy=False)))
        rows = SHARD_ROWS * (TOKENS_PER_ROW if self._about.kind == "token" else 1)
        full = sum(len(part) for part, _ in self._open) >= rows
        if full or time.monotonic() - self._opened_at >= SHARD_SECONDS:
            self._close_shard()

    def flush(self) -> None:
        """Closes the open shard, whose vectors are found from now on, and gives up all claims.

        Raises:
            OSError: The shard could not be written; all earlier ones are kept.
        """
        try:
            self._close_shard()
            if self._folder is None:
                self._rows.join()
        finally:
            if self._folder is not None:
                self._folder.close()

    def refresh(self) -> None:
        """Finds what other processes have added to the folder since.

        Raises:
            OSError: The folder cannot be read.
        """
        if self._folder is not None:
            self._accept(self._folder, *self._folder.whole_shards(self._folder.manifest()))

    def _accept(self, folder: StoreFolder, *shards: Shard) -> None:
        for shard in shards:
            self._rows.add_shard(folder.path, shard)

    def _close_shard(self) -> None:
        if not self._open:
            return
        keys, vectors = (np.concatenate(part) for part in zip(*self._open, strict=True))
        self._open = []
        if self._folder is None:
            self._rows.add_arrays(keys, vectors)
        else:
            self._accept(self._folder, self._folder.append(keys, vectors))
