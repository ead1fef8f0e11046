"""The folder of one store as a process sees it: its shards, checked before they are used, and its own writing."""

import itertools
import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quaterion.cache.manifest import (
    MANIFEST,
    DamagedManifestError,
    Manifest,
    Shard,
    folder_lock,
    read_manifest,
)
from quaterion.cache.store_check import damaged_shards
from quaterion.cache.store_writer import StoreWriter, tidy

__all__ = ["LAST_USE", "StoreFolder"]

logger = logging.getLogger(__name__)

LAST_USE = "last-use"
"""A file whose time of change is when a training last opened the store."""


class StoreFolder:
    """What a process knows of a store's folder, and the part that it writes to.

    Args:
        path: The folder.
        about: What the store's rows are; its shards do not count.
        mends: Whether damaged shards are taken out of the manifest as soon as they are found. Who writes mends.

    Attributes:
        path: The folder.
    """

    def __init__(self, path: Path, about: Manifest, *, mends: bool = True) -> None:
        self.path = path
        self._about = about
        self._mends = mends
        self._known: set[Shard] = set()
        self._damaged: set[Shard] = set()
        self._writer: StoreWriter | None = None

    def create(self) -> list[Shard]:
        """Makes the folder a store's where it is not yet, and tidies up what dead writers left.

        Returns:
            The whole shards that lie there, as of `whole_shards`.

        Raises:
            OSError: The folder cannot be created or written.
            ValueError: The folder holds vectors of another encoder, size or precision, or is of a newer format.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            with folder_lock(self.path):
                tidy(self.path)
                found = self._whole_manifest()
                if found is None:
                    self._about.write(self.path)
                else:
                    self._check_same_origin(found)
            (self.path / LAST_USE).touch()
            return [] if found is None else self.whole_shards(found)
        except OSError as error:
            raise type(error)(
                error.errno,
                f"Cannot use the folder as a cache: {error.strerror}. Expected a folder that can be written; "
                "check its permissions and the space left, or give CacheConfig another save_dir",
                str(self.path),
            ) from error

    def manifest(self) -> Manifest:
        """The manifest as it is now; one without shards where there is none.

        Raises:
            OSError: The manifest cannot be read.
            ValueError: The manifest is damaged or of a newer format.
        """
        return read_manifest(self.path) or self._about

    def whole_shards(self, found: Manifest) -> list[Shard]:
        """Compares the shards that are new to this process with their checksums; a damaged one is named in a warning.

        Args:
            found: The folder's manifest.

        Returns:
            The whole ones among them, which are known from now on.

        Raises:
            OSError: The folder cannot be written, where it is mended.
        """
        new = sorted(set(found.shards) - self._known - self._damaged)
        damaged = damaged_shards(self.path, replace(found, shards=tuple(new)))
        for one in itertools.chain.from_iterable(damaged.values()):
            logger.warning(
                "%s is damaged in rows %d to %d: %s. These %d %s are %s.",
                one.file, one.start, one.start + one.rows - 1, one.problem, one.rows, found.content,
                "set aside and encoded again" if self._mends else "left out",
            )  # fmt: skip
        self._damaged |= damaged.keys()
        if self._mends:
            self._set_aside()
        whole = [shard for shard in new if shard not in damaged]
        self._known.update(whole)
        return whole

    def claim(self, keys: NDArray[np.uint8]) -> NDArray[np.bool_]:
        """Claims keys that this process will add; see `EmbeddingStore.claim`.

        Args:
            keys: uint8 `[M, 16]`.

        Returns:
            bool `[M]`, false where another process has the key, or claimed it first.

        Raises:
            OSError: The claim could not be written.
        """
        try:
            return self._writing().claim(keys, self._known)
        except OSError as error:
            raise self._cannot_write("what is to be encoded", error) from error

    def append(self, keys: NDArray[np.uint8], vectors: NDArray[Any]) -> Shard:
        """Writes a shard, which everybody finds from then on.

        Args:
            keys: uint8 `[n, 16]`.
            vectors: `[n, D]`.

        Returns:
            The shard.

        Raises:
            OSError: The shard could not be written; all earlier ones are kept.
        """
        try:
            shard = self._writing().append(keys, vectors)
        except OSError as error:
            what = f"{len(keys):,} {self._about.content} ({vectors.nbytes / 2**20:.1f} MiB)"
            raise self._cannot_write(what, error) from error
        self._known.add(shard)
        return shard

    def close(self) -> None:
        """Gives up all claims, and the part that was written to."""
        writer, self._writer = self._writer, None
        if writer is not None:
            writer.close()

    def _writing(self) -> StoreWriter:
        if self._writer is None:
            self._mends = True
            self._set_aside()
            self._writer = StoreWriter(self.path, self.manifest)
        return self._writer

    def _cannot_write(self, what: str, error: OSError) -> OSError:
        kept = sum(shard.rows for shard in self._known)
        return type(error)(
            error.errno,
            f"Cannot write {what} to the cache: {error.strerror}. All {kept:,} {self._about.content} written "
            "before are kept. Free some space, or give CacheConfig another save_dir, and start again",
            str(self.path),
        )

    def _whole_manifest(self) -> Manifest | None:
        lost = f"all {self._about.content} of this store are encoded again."
        path = self.path / MANIFEST
        try:
            found = read_manifest(self.path)
        except DamagedManifestError as error:
            logger.warning("%s: it is set aside, and %s", error, lost)
            path.replace(self.path / f"{MANIFEST}.damaged")
            return None
        if found is None and any(self.path.glob("part-*.keys")):
            logger.warning("%s is missing: %s", path, lost)
        return found

    def _check_same_origin(self, found: Manifest) -> None:
        about = self._about
        if replace(found, shards=(), ends=(), encoder="") != replace(about, encoder=""):
            raise ValueError(
                f"{self.path} holds {found.dtype} {found.content} of size {found.dimension} from the encoder "
                f"{found.encoder!r} ({found.fingerprint[:12]}); expected {about.dtype} of size "
                f"{about.dimension} from {about.encoder!r} ({about.fingerprint[:12]}). Use another folder."
            )

    def _set_aside(self) -> None:
        """Takes what is damaged out of the manifest, so that it counts as missing and is encoded again."""
        if self._damaged:
            with folder_lock(self.path):
                self.manifest().without(self._damaged).write(self.path)
            self._damaged = set()
