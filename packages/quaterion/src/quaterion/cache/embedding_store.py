"""Vectors of objects by content: in memory, or in a folder that outlives the process."""

import logging
import time
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from quaterion.cache import shards
from quaterion.cache.key_index import KeyIndex

__all__ = ["EmbeddingStore"]

logger = logging.getLogger(__name__)

SHARD_ROWS = 4096
SHARD_SECONDS = 10.0


class EmbeddingStore:
    """An append-only table of content keys and the vectors that one encoder gives them.

    Vectors are added in shards. With a folder each shard is written, flushed and renamed before the manifest
    names it, so whatever ends the process, all closed shards are whole and are found again.

    Args:
        fingerprint: Fingerprint of the encoder that gives the vectors.
        dimension: Length of a vector.
        encoder: Readable name of the encoder.
        dtype: Precision of the stored vectors.
        folder: Where to keep them; None keeps them in memory only. Shards already there are read.

    Raises:
        OSError: The folder cannot be created or written.
        ValueError: The folder holds vectors of another encoder, size or precision, or its manifest is damaged.

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
    ) -> None:
        self._manifest = shards.Manifest(fingerprint, encoder, dimension, dtype)
        self._folder = None if folder is None else Path(folder)
        self._keys: list[NDArray[np.uint8]] = []
        self._vectors: list[NDArray[Any]] = []
        self._index: KeyIndex | None = None
        self._open_keys: list[NDArray[np.uint8]] = []
        self._open_vectors: list[NDArray[Any]] = []
        self._opened_at = 0.0
        if self._folder is not None:
            self._open_folder(self._folder)

    @classmethod
    def open(cls, folder: str | Path) -> Self:
        """Opens the store in a folder, whatever encoder filled it.

        Args:
            folder: The store's folder.

        Raises:
            FileNotFoundError: There is no store in the folder.
        """
        manifest = shards.read_manifest(Path(folder))
        if manifest is None:
            raise FileNotFoundError(f"{folder} holds no embedding store: expected a {shards.MANIFEST} in it.")
        return cls(
            fingerprint=manifest.fingerprint,
            dimension=manifest.dimension,
            encoder=manifest.encoder,
            dtype="float16" if manifest.dtype == "float16" else "float32",
            folder=folder,
        )

    def __len__(self) -> int:
        """Number of vectors in closed shards."""
        return sum(map(len, self._keys))

    @property
    def fingerprint(self) -> str:
        """Fingerprint of the encoder that gives the vectors."""
        return self._manifest.fingerprint

    @property
    def dtype_name(self) -> str:
        """Precision of the stored vectors, "float32" or "float16"."""
        return self._manifest.dtype

    @property
    def folder(self) -> Path | None:
        """Where the vectors are kept, None for in memory."""
        return self._folder

    @property
    def dimension(self) -> int:
        """Length of a vector."""
        return self._manifest.dimension

    @property
    def dtype(self) -> torch.dtype:
        """Precision of the stored vectors."""
        return torch.float16 if self._manifest.dtype == "float16" else torch.float32

    @property
    def keys(self) -> NDArray[np.uint8]:
        """Keys of all rows, uint8 `[N, 16]`."""
        return np.concatenate([np.empty((0, 16), dtype=np.uint8), *self._keys])

    @property
    def vectors(self) -> NDArray[Any]:
        """Vectors of all rows, `[N, D]`, as a plain array for other tools."""
        return np.concatenate([np.empty((0, self.dimension), dtype=self._manifest.dtype), *self._vectors])

    def rows(self, keys: NDArray[np.uint8]) -> NDArray[np.int64]:
        """Row of each key, −1 for keys that no closed shard holds.

        Args:
            keys: uint8 `[M, 16]`.

        Returns:
            int64 `[M]`.
        """
        if self._index is None:
            self._index = KeyIndex(self.keys)
        return self._index.rows(keys)

    def take(self, rows: NDArray[np.int64]) -> Tensor:
        """Vectors of the given rows, copied into one tensor.

        Args:
            rows: int64 `[M]`, each in 0..N−1.

        Returns:
            `[M, D]` in the store's precision.
        """
        taken = torch.empty((len(rows), self.dimension), dtype=self.dtype)
        out = taken.numpy()
        order = np.argsort(rows, kind="stable")
        sorted_rows = rows[order]
        start = 0
        for vectors in self._vectors:
            low, high = np.searchsorted(sorted_rows, [start, start + len(vectors)])
            out[order[low:high]] = vectors[sorted_rows[low:high] - start]
            start += len(vectors)
        return taken

    def add(self, keys: NDArray[np.uint8], vectors: NDArray[Any]) -> None:
        """Adds a batch to the open shard, and closes the shard once it is full or old.

        Args:
            keys: uint8 `[n, 16]`.
            vectors: `[n, D]`.

        Raises:
            OSError: The shard could not be written; all earlier ones are kept.
        """
        if not self._open_keys:
            self._opened_at = time.monotonic()
        self._open_keys.append(keys)
        self._open_vectors.append(vectors.astype(self._manifest.dtype, copy=False))
        full = sum(map(len, self._open_keys)) >= SHARD_ROWS
        if full or time.monotonic() - self._opened_at >= SHARD_SECONDS:
            self.flush()

    def flush(self) -> None:
        """Closes the open shard: its vectors are found from now on.

        Raises:
            OSError: The shard could not be written; all earlier ones are kept.
        """
        if not self._open_keys:
            return
        keys, vectors = np.concatenate(self._open_keys), np.concatenate(self._open_vectors)
        self._open_keys, self._open_vectors = [], []
        if self._folder is not None:
            try:
                shard = shards.write_shard(self._folder, keys, vectors)
                with shards.lock(self._folder):
                    # Another process may have added shards meanwhile: the manifest on disk is the one to extend.
                    current = shards.read_manifest(self._folder) or self._manifest
                    shards.write_manifest(self._folder, replace(current, shards=(*current.shards, shard)))
            except OSError as error:
                raise type(error)(
                    error.errno,
                    f"Cannot write {len(keys):,} vectors ({vectors.nbytes / 2**20:.1f} MiB) to the cache: "
                    f"{error.strerror}. All {len(self):,} vectors written before are kept. Free some space, or give "
                    "CacheConfig another save_dir, and start again",
                    str(self._folder),
                ) from error
        self._keys.append(keys)
        self._vectors.append(vectors)
        self._index = None

    def _open_folder(self, folder: Path) -> None:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with shards.lock(folder):
                found = shards.read_manifest(folder)
                if found is None:
                    shards.write_manifest(folder, self._manifest)
                else:
                    self._read_shards(folder, found)
        except OSError as error:
            raise type(error)(
                error.errno,
                f"Cannot use the folder as a cache: {error.strerror}. Expected a folder that can be written; "
                "check its permissions and the space left, or give CacheConfig another save_dir",
                str(folder),
            ) from error

    def _read_shards(self, folder: Path, found: shards.Manifest) -> None:
        if replace(found, shards=(), encoder="") != replace(self._manifest, encoder=""):
            raise ValueError(
                f"{folder} holds {found.dtype} vectors of size {found.dimension} from the encoder {found.encoder!r} "
                f"({found.fingerprint[:12]}); expected {self._manifest.dtype} of size {self.dimension} from "
                f"{self._manifest.encoder!r} ({self._manifest.fingerprint[:12]}). Use another folder."
            )
        whole = []
        for shard in found.shards:
            try:
                keys, vectors = shards.read_shard(folder, shard, dimension=self.dimension, dtype=found.dtype)
            except shards.DamagedShardError as error:
                logger.warning("%s: its %d vectors are set aside and encoded again.", error, shard.rows)
                for file in folder.glob(f"{shard.name}.*.npy"):
                    file.replace(file.with_suffix(".damaged"))
            else:
                whole.append(shard)
                self._keys.append(keys)
                self._vectors.append(vectors)
        if len(whole) < len(found.shards):
            shards.write_manifest(folder, replace(found, shards=tuple(whole)))
