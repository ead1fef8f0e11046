"""Writing to a store's folder beside other processes: each has a part of its own, and claims what it will encode."""

import contextlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock, Timeout
from numpy.typing import NDArray

from quaterion.cache.files import replace_file
from quaterion.cache.key_index import KeyIndex
from quaterion.cache.manifest import KEY_BYTES, Manifest, Shard, folder_lock
from quaterion.cache.parts import Part

__all__ = ["StoreWriter", "tidy"]

Keys = NDArray[np.uint8]


class StoreWriter:
    """The one writer of a part.

    It takes the first part that nobody writes to, dead writers' parts included, so a store has as many parts as there
    were ever writers at the same time. The lock of the part lapses with the process, and the claim with the lock.

    Args:
        folder: The store's folder.
        manifest: Reads the manifest of the folder, which others change too.

    Raises:
        OSError: The folder cannot be written.
    """

    def __init__(self, folder: Path, manifest: Callable[[], Manifest]) -> None:
        self._folder, self._manifest = folder, manifest
        self._claimed = _no_keys()
        self._others: dict[Shard, Keys] = {}
        with folder_lock(folder):
            tidy(folder)
            self._number, self._lock = _free_part(folder)
            found = manifest()
            self._part = Part(folder, self._number, found.dimension, found.dtype)
            self._part.cut(found.end_of(self._number))

    def claim(self, keys: Keys, known: set[Shard]) -> NDArray[np.bool_]:
        """Claims keys for this writer, so that no other process encodes the same objects.

        Args:
            keys: uint8 `[n, 16]`.
            known: Shards that were looked through before; none of them holds any of the keys.

        Returns:
            bool `[n]`, false where another process has the key already, or is about to.
        """
        with folder_lock(self._folder):
            for shard in self._manifest().shards:
                if shard not in known and shard not in self._others:
                    self._others[shard] = np.array(replace(self._part, number=shard.part).keys(shard.start, shard.rows))
            taken = [*self._others.values(), *self._claims_of_others()]
            free = KeyIndex(np.concatenate(taken)).rows(keys) < 0 if taken else np.ones(len(keys), dtype=bool)
            self._hold(np.concatenate([self._claimed, keys[free]]))
        return free

    def append(self, keys: Keys, vectors: NDArray[Any]) -> Shard:
        """Adds a shard, which everybody finds from then on, and gives up the claim on its keys.

        Args:
            keys: uint8 `[n, 16]`.
            vectors: `[n, D]`.

        Returns:
            The shard.

        Raises:
            OSError: The shard could not be written; all earlier ones are kept.
        """
        start = self._manifest().end_of(self._number)
        shard = self._part.append(start, keys, vectors)
        with folder_lock(self._folder):
            found = self._manifest()
            replace(found, shards=(*found.shards, shard)).write(self._folder)
            if len(self._claimed):
                self._hold(self._claimed[KeyIndex(keys).rows(self._claimed) < 0])
        return shard

    def close(self) -> None:
        """Gives up the claim and the part."""
        with folder_lock(self._folder):
            _claim_file(self._folder, self._number).unlink(missing_ok=True)
        self._lock.release()

    def _hold(self, keys: Keys) -> None:
        self._claimed = keys
        file = _claim_file(self._folder, self._number)
        if len(keys):
            replace_file(file, keys.tobytes(), durable=False)
        else:
            file.unlink(missing_ok=True)

    def _claims_of_others(self) -> list[Keys]:
        own = _claim_file(self._folder, self._number)
        tidy(self._folder, but=self._number)
        others = [file.read_bytes() for file in self._folder.glob("part-*.claim") if file != own]
        return [np.frombuffer(keys[: len(keys) // KEY_BYTES * KEY_BYTES], np.uint8).reshape(-1, 16) for keys in others]


def tidy(folder: Path, *, but: int | None = None) -> None:
    """Removes claims and temporary files that dead writers left; the caller holds the folder's lock.

    Args:
        folder: The store's folder.
        but: A part that the caller itself writes to.
    """
    for claim in folder.glob("part-*.claim"):
        number = int(claim.stem.removeprefix("part-"))
        if number != but and (lock := _try_lock(folder, number)) is not None:
            claim.unlink(missing_ok=True)
            lock.release()
    # Written under the lock only, so one that is there was left by a process that died.
    for file in folder.glob("*.tmp"):
        file.unlink(missing_ok=True)


def _free_part(folder: Path) -> tuple[int, FileLock]:
    number = 0
    while (lock := _try_lock(folder, number)) is None:
        number += 1
    return number, lock


def _try_lock(folder: Path, number: int) -> FileLock | None:
    lock = FileLock(folder / f"part-{number}.lock", thread_local=False)
    with contextlib.suppress(Timeout):
        lock.acquire(timeout=0)
        return lock
    return None


def _claim_file(folder: Path, number: int) -> Path:
    return folder / f"part-{number}.claim"


def _no_keys() -> Keys:
    return np.empty((0, KEY_BYTES), dtype=np.uint8)
