"""Vectors of objects by content: in memory, or in a folder that outlives the process."""

import itertools
import logging
import time
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from quaterion.cache.key_index import KeyIndex, distinct_keys
from quaterion.cache.key_runs import KeyRuns
from quaterion.cache.manifest import (
    KEY_BYTES,
    MANIFEST,
    DamagedManifestError,
    Manifest,
    Shard,
    folder_lock,
    read_manifest,
)
from quaterion.cache.parts import Part
from quaterion.cache.segments import MemorySegment, Segment, merged
from quaterion.cache.store_check import damaged_shards
from quaterion.cache.store_writer import StoreWriter, tidy
from quaterion_models.content_key import content_key

__all__ = ["EmbeddingStore"]

logger = logging.getLogger(__name__)

SHARD_ROWS = 4096
TOKENS_PER_ROW = 16
"""How many times as many rows a shard of token states has."""
SHARD_SECONDS = 10.0
LAST_USE = "last-use"
"""A file whose time of change is when a training last opened the store."""

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
        self._folder = None if folder is None else Path(folder).absolute()
        self._segments: list[Segment] = []
        self._known: set[Shard] = set()
        self._index: KeyIndex | KeyRuns | None = None
        self._writer: StoreWriter | None = None
        self._open: list[tuple[Keys, NDArray[Any]]] = []
        self._opened_at = 0.0
        self._damaged: set[Shard] = set()
        self._mends = True
        if self._folder is not None:
            self._open_folder(self._folder)

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
        store._folder, store._mends = Path(folder).absolute(), False
        store._read_shards(store._folder, manifest)
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
        table = np.asarray(vectors.detach().cpu().float() if isinstance(vectors, Tensor) else vectors)
        if table.ndim != 2 or table.shape[1] == 0:
            raise ValueError(f"Got vectors of shape {list(table.shape)}; expected [N, D], one row for each object.")
        table = table.astype(dtype)
        if not np.isfinite(table).all():
            row = int((~np.isfinite(table)).any(axis=1).argmax())
            raise ValueError(f"Vector {row} has NaN or infinite values in {dtype}; expected finite vectors.")
        digests = _content_keys(keys)
        if len(digests) != len(table):
            raise ValueError(f"Got {len(digests)} keys and {len(table)} vectors; expected one vector for each key.")
        first, inverse = distinct_keys(digests)
        unequal = (table != table[first][inverse]).any(axis=1)
        if unequal.any():
            row = int(unequal.argmax())
            raise ValueError(
                f"Rows {int(first[inverse[row]])} and {row} have the same key and different vectors; expected one "
                "vector for each key."
            )
        digests, table = digests[first], table[first]
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
        for segment in self._segments:
            copied.add(segment.keys, segment.vectors)
        copied.flush()
        return copied

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        """The store itself: who copies a model means its weights, not gigabytes of vectors."""
        return self

    def __len__(self) -> int:
        """Number of vectors in closed shards."""
        return sum(len(segment.keys) for segment in self._segments)

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
        return self._folder

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
        return _joined([segment.keys for segment in self._segments], KEY_BYTES, "uint8")

    @property
    def vectors(self) -> NDArray[Any]:
        """Vectors of all rows, `[N, D]`, as a plain array for other tools; not copied where they lie side by side."""
        return _joined([segment.vectors for segment in self._segments], self.dimension, self._about.dtype)

    def rows(self, keys: Keys) -> NDArray[np.int64]:
        """Row of each key, the first one of token states; −1 for keys that no closed shard holds.

        Args:
            keys: uint8 `[M, 16]`.

        Returns:
            int64 `[M]`.
        """
        return self._indexed().rows(keys)

    def counts(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """How many rows objects have: their tokens, or 1 for a vector.

        Args:
            rows: int64 `[M]`, as `rows` gives them.

        Returns:
            int64 `[M]`.
        """
        index = self._indexed()
        return index.counts(rows) if isinstance(index, KeyRuns) else np.ones(len(rows), dtype=np.int64)

    def _indexed(self) -> KeyIndex | KeyRuns:
        if self._index is None:
            tokens = self._about.kind == "token"
            self._index = KeyRuns(segment.keys for segment in self._segments) if tokens else KeyIndex(self.keys)
        return self._index

    @property
    def tensor(self) -> Tensor | None:
        """Vectors of all rows, not copied, where they lie side by side; else None."""
        return self._segments[0].tensor if len(self._segments) == 1 else None

    def forget_index(self) -> None:
        """Frees the memory of the index of keys (12 bytes a row), which is built again when it is needed."""
        self._index = None

    def take(self, rows: NDArray[np.int64] | Tensor) -> Tensor:
        """Vectors of the given rows, copied into one tensor.

        Args:
            rows: int64 `[M]`, each in 0..N−1.

        Returns:
            `[M, D]` in the store's precision.
        """
        wanted = torch.as_tensor(rows, dtype=torch.int64)
        if len(self._segments) == 1:
            return self._segments[0].tensor.index_select(0, wanted)
        taken = torch.empty((len(wanted), self.dimension), dtype=self.dtype)
        start = 0
        for segment in self._segments:
            stop = start + len(segment.keys)
            here = ((wanted >= start) & (wanted < stop)).nonzero().flatten()
            if len(here):
                taken[here] = segment.tensor.index_select(0, wanted[here] - start)
            start = stop
        return taken

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
        rows = self.rows(_content_keys(objects))
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
        try:
            return self._writing().claim(keys, self._known)
        except OSError as error:
            raise self._cannot_write("what is to be encoded", error) from error

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
                self._join_segments()
        finally:
            writer, self._writer = self._writer, None
            if writer is not None:
                writer.close()

    def refresh(self) -> None:
        """Finds what other processes have added to the folder since.

        Raises:
            OSError: The folder cannot be read.
        """
        if self._folder is not None:
            self._read_shards(self._folder, self._current_manifest())

    def _close_shard(self) -> None:
        if not self._open:
            return
        keys, vectors = (np.concatenate(part) for part in zip(*self._open, strict=True))
        self._open = []
        self._index = None
        if self._folder is None:
            # Segments double in size, so that N rows are copied log N times and lie in a few long runs.
            while self._segments and len(self._segments[-1].keys) <= len(keys):
                last = self._segments.pop()
                keys, vectors = np.concatenate([last.keys, keys]), np.concatenate([last.vectors, vectors])
            self._segments.append(MemorySegment(keys, vectors))
            return
        try:
            shard = self._writing().append(keys, vectors)
        except OSError as error:
            what = f"{len(keys):,} {self._about.content} ({vectors.nbytes / 2**20:.1f} MiB)"
            raise self._cannot_write(what, error) from error
        self._accept(self._folder, shard)

    def _cannot_write(self, what: str, error: OSError) -> OSError:
        return type(error)(
            error.errno,
            f"Cannot write {what} to the cache: {error.strerror}. All {len(self):,} {self._about.content} written "
            "before are kept. Free some space, or give CacheConfig another save_dir, and start again",
            str(self._folder),
        )

    def _join_segments(self) -> None:
        """Puts what is kept in memory into one run, so that a batch is one `index_select`."""
        if len(self._segments) > 1:
            self._segments = [MemorySegment(self.keys, self.vectors)]

    def _writing(self) -> StoreWriter:
        if self._writer is None:
            assert self._folder is not None  # noqa: S101 - callers have a folder; this tells the type checker
            self._mends = True
            self._set_aside(self._folder)
            self._writer = StoreWriter(self._folder, self._current_manifest)
        return self._writer

    def _current_manifest(self) -> Manifest:
        assert self._folder is not None  # noqa: S101 - callers have a folder; this tells the type checker
        return read_manifest(self._folder) or self._about

    def _open_folder(self, folder: Path) -> None:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with folder_lock(folder):
                tidy(folder)
                found = self._whole_manifest(folder)
                if found is None:
                    self._about.write(folder)
                else:
                    self._check_same_origin(folder, found)
            (folder / LAST_USE).touch()
            if found is not None:
                self._read_shards(folder, found)
        except OSError as error:
            raise type(error)(
                error.errno,
                f"Cannot use the folder as a cache: {error.strerror}. Expected a folder that can be written; "
                "check its permissions and the space left, or give CacheConfig another save_dir",
                str(folder),
            ) from error

    def _whole_manifest(self, folder: Path) -> Manifest | None:
        lost = f"all {self._about.content} of this store are encoded again."
        try:
            found = read_manifest(folder)
        except DamagedManifestError as error:
            logger.warning("%s: it is set aside, and %s", error, lost)
            (folder / MANIFEST).replace(folder / f"{MANIFEST}.damaged")
            return None
        if found is None and any(folder.glob("part-*.keys")):
            logger.warning("%s is missing: %s", folder / MANIFEST, lost)
        return found

    def _check_same_origin(self, folder: Path, found: Manifest) -> None:
        if replace(found, shards=(), ends=(), encoder="") != replace(self._about, encoder=""):
            raise ValueError(
                f"{folder} holds {found.dtype} {found.content} of size {found.dimension} from the encoder "
                f"{found.encoder!r} ({found.fingerprint[:12]}); expected {self._about.dtype} of size "
                f"{self.dimension} from {self._about.encoder!r} ({self._about.fingerprint[:12]}). Use another folder."
            )

    def _read_shards(self, folder: Path, found: Manifest) -> None:
        new = sorted(set(found.shards) - self._known - self._damaged)
        damaged = damaged_shards(folder, replace(found, shards=tuple(new)))
        for one in itertools.chain.from_iterable(damaged.values()):
            logger.warning(
                "%s is damaged in rows %d to %d: %s. These %d %s are %s.",
                one.file, one.start, one.start + one.rows - 1, one.problem, one.rows, found.content,
                "set aside and encoded again" if self._mends else "left out",
            )  # fmt: skip
        for shard in new:
            if shard not in damaged:
                self._accept(folder, shard)
        self._damaged |= damaged.keys()
        if self._mends:
            self._set_aside(folder)

    def _set_aside(self, folder: Path) -> None:
        """Takes what is damaged out of the manifest, so that it counts as missing and is encoded again."""
        if self._damaged:
            with folder_lock(folder):
                self._current_manifest().without(self._damaged).write(folder)
            self._damaged = set()

    def _accept(self, folder: Path, shard: Shard) -> None:
        self._segments = merged(self._segments, Part(folder, shard.part, self.dimension, self._about.dtype), shard)
        self._known.add(shard)
        self._index = None


def _content_keys(objects: Keys | Iterable[Any]) -> Keys:
    if isinstance(objects, np.ndarray) and objects.dtype == np.uint8 and objects.ndim == 2:
        if objects.shape[1] != KEY_BYTES:
            raise ValueError(f"Got content keys of shape {list(objects.shape)}; expected [N, {KEY_BYTES}].")
        return objects
    if isinstance(objects, str | bytes):
        raise TypeError(f"Got {objects!r}; expected a list of objects, such as [{objects!r}].")
    return np.frombuffer(b"".join(map(content_key, objects)), dtype=np.uint8).reshape(-1, KEY_BYTES)


def _joined(arrays: list[NDArray[Any]], width: int, dtype: str) -> NDArray[Any]:
    if len(arrays) == 1:
        whole = arrays[0].view()
        whole.flags.writeable = False  # the store's own memory
        return whole
    return np.concatenate([np.empty((0, width), dtype=dtype), *arrays])
