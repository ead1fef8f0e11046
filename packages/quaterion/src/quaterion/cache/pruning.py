"""Removing from the folder of `CacheConfig(save_dir=...)` what serves nobody any more: first a plan, then the deed."""

import errno
import io
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from quaterion.cache.compacting import compact_part
from quaterion.cache.maintenance import StoreInfo, look, reading_files
from quaterion.cache.manifest import KEY_BYTES, MANIFEST, digest
from quaterion.cache.parts import Part
from quaterion.cache.store_locks import FOLDER_LOCK, LOCK_SECONDS, StoreInUseError, sole_use, try_lock

__all__ = ["KeptStore", "PrunePlan", "Removal", "carry_out", "plan_prune", "plan_removal"]

Keys = NDArray[np.uint64]


@dataclass(frozen=True)
class Removal:
    """One thing to remove.

    Args:
        kind: A whole store, leftovers and holes inside a store, or a reading of a data set.
        path: The store's folder, or the reading's file.
        reason: Why it serves nobody.
        freed_bytes: Bytes that this frees, about.
        store: The store, as it was when the plan was made; None for a reading.
    """

    kind: Literal["store", "leftovers", "reading"]
    path: Path
    reason: str
    freed_bytes: int
    store: StoreInfo | None = None


@dataclass(frozen=True)
class KeptStore:
    """A store that would be touched but for the reason given.

    Args:
        store: The store.
        reason: Why it is left as it is.
    """

    store: StoreInfo
    reason: str


@dataclass(frozen=True)
class PrunePlan:
    """What would be removed.

    Args:
        removals: What to remove.
        kept: Stores that were chosen but cannot be touched.
    """

    removals: tuple[Removal, ...]
    kept: tuple[KeptStore, ...]


def plan_prune(
    folder: Path,
    stores: Sequence[StoreInfo],
    *,
    now: float,
    older_than: float | None = None,
    keep_last: int | None = None,
    damaged: bool = False,
) -> PrunePlan:
    """Chooses what serves nobody; readings that no store needs are always chosen.

    Args:
        folder: The folder of `CacheConfig(save_dir=...)`.
        stores: Its stores.
        now: Seconds since 1970.
        older_than: Chooses stores that were last used more than that many seconds ago.
        keep_last: Keeps that many stores, those used last, however old they are, and chooses all others that
            `older_than` does not keep.
        damaged: Chooses stores without a whole manifest, and in all others leftover files and unused bytes.

    Returns:
        The plan; nothing has been removed.

    Raises:
        OSError: A file cannot be read.
        ValueError: A number is negative.
    """
    for name, value in (("older_than", older_than), ("keep_last", keep_last)):
        if value is not None and value < 0:
            raise ValueError(f"Got {name}={value}; expected 0 or more.")
    removals, kept = [], []
    by_use = sorted(stores, key=lambda store: store.last_use, reverse=True)
    outlived = by_use[keep_last or 0 :] if keep_last is not None or older_than is not None else []
    for store in stores:
        removal = None
        if store in outlived and (older_than is None or now - store.last_use > older_than):
            days = (now - store.last_use) / 86_400
            removal = Removal("store", store.folder, f"last used {days:,.0f} days ago", store.disk_bytes, store)
        elif damaged and store.state == "damaged":
            removal = Removal("store", store.folder, "no whole manifest", store.disk_bytes, store)
        elif damaged:
            removal = _leftovers(store)
        if removal is not None and (obstacle := _obstacle(store)):
            kept.append(KeptStore(store, obstacle))
        elif removal is not None:
            removals.append(removal)
    removed = {removal.path for removal in removals if removal.kind == "store"}
    remaining = [store for store in stores if store.folder not in removed]
    return PrunePlan((*removals, *_stale_readings(folder, remaining)), tuple(kept))


def plan_removal(stores: Sequence[StoreInfo]) -> tuple[Removal, ...]:
    """Plans to remove stores that the user named.

    Args:
        stores: The stores.

    Returns:
        One removal for each.

    Raises:
        StoreInUseError: A live process writes to one of them.
        ValueError: One is a link, or holds what no store makes.
    """
    for store in stores:
        if obstacle := _obstacle(store, named=True):
            in_use = store.writing is not False and store.state != "link" and not store.foreign
            raise (StoreInUseError if in_use else ValueError)(
                f"{store.folder} is left as it is: {obstacle}. Nothing was removed."
            )
    return tuple(Removal("store", store.folder, "you named it", store.disk_bytes, store) for store in stores)


def carry_out(removal: Removal) -> int:
    """Removes what a plan names, unless it has come into use since.

    Args:
        removal: Part of a plan.

    Returns:
        Bytes that were freed.

    Raises:
        StoreInUseError: A process writes to the store, or has used it since the plan was made.
        OSError: A file cannot be removed or rewritten.
    """
    if removal.store is None:
        return _remove_reading(removal.path)
    if removal.path.is_symlink() or not removal.path.is_dir():
        return 0  # another process was faster
    with sole_use(removal.path):
        current = look(removal.path, removal.store.short_name, alone=True)
        if obstacle := _obstacle(current, named=True):
            raise StoreInUseError(f"{removal.path} is left as it is: {obstacle}.")
        if current.last_use != removal.store.last_use:
            raise StoreInUseError(f"{removal.path} was used since it was looked at; it is left as it is.")
        if removal.kind == "leftovers":
            return _remove_leftovers(current)
        _remove_files(removal.path)
    return current.disk_bytes


def _remove_files(folder: Path) -> None:
    # The manifest goes first: what is left if the process dies here is no store, and the lock goes last.
    last = [folder / MANIFEST, folder / FOLDER_LOCK]
    others = [path for path in folder.iterdir() if path not in last]
    for path in (last[0], *others, last[1]):
        path.unlink(missing_ok=True)
    try:
        folder.rmdir()
    except OSError as error:
        # A process that waited for the lock has begun the store anew.
        if error.errno != errno.ENOTEMPTY:
            raise


def _remove_leftovers(store: StoreInfo) -> int:
    freed = 0
    for file in store.leftovers:
        freed += file.stat().st_size
        file.unlink()
    if store.manifest is not None:
        for info in store.parts:
            if info.unused_bytes:
                part = Part(store.folder, info.number, store.manifest.dimension, store.manifest.dtype)
                freed += compact_part(part, info.shards)
    return freed


def _obstacle(store: StoreInfo, *, named: bool = False) -> str:
    """Why a store cannot be touched, "" where it can; one that the user named may be of any format."""
    if store.state == "link":
        return "it is a link, and links are not followed"
    if store.foreign:
        return f"it holds what no store makes ({', '.join(path.name for path in store.foreign)}); move that away first"
    if store.state in {"newer", "unreadable"} and not named:
        return store.problem
    if store.writing is None:
        return "nobody can tell whether a process writes to it; check the permissions of the folder, or wait"
    return "a process is writing to it" if store.writing else ""


def _leftovers(store: StoreInfo) -> Removal | None:
    if store.manifest is None or not (store.leftovers or store.unused_bytes):
        return None
    reasons = []
    if store.leftovers:
        reasons.append(", ".join(file.name for file in store.leftovers))
    if store.unused_bytes:
        numbers = [str(part.number) for part in store.parts if part.unused_bytes]
        reasons.append(f"unused bytes in part {', '.join(numbers)}")
    size = sum(file.lstat().st_size for file in store.leftovers) + store.unused_bytes
    return Removal("leftovers", store.folder, "; ".join(reasons), size, store)


def _stale_readings(folder: Path, remaining: Sequence[StoreInfo]) -> list[Removal]:
    readable = all(store.manifest is not None and store.writing is False for store in remaining)
    removals = []
    for file in reading_files(folder):
        wanted = _keys_of_reading(file)
        if wanted is None:
            reason = "damaged"
        elif readable and len(wanted) and not any(_has_any(store, wanted) for store in remaining):
            reason = "no store has vectors of its objects"
        else:
            continue
        removals.append(Removal("reading", file, reason, file.stat().st_size))
    return removals


def _keys_of_reading(file: Path) -> Keys | None:
    """First halves of the keys in a reading, sorted; none where it is of another version, None where it is damaged."""
    checksum, _, content = file.read_bytes().partition(b"\n")
    if digest(content) != checksum.decode("latin-1"):
        return None
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
            keys = [arrays[name] for name in arrays.files if name.startswith("keys ")]
    except (ValueError, OSError, EOFError, zipfile.BadZipFile):
        keys = []
    halves = [np.ascontiguousarray(one).view(np.uint64)[:, 0] for one in keys]
    return np.unique(np.concatenate([np.empty(0, np.uint64), *halves]))


def _has_any(store: StoreInfo, wanted: Keys) -> bool:
    for part in store.parts:
        file = store.folder / f"part-{part.number}.keys"
        for shard in part.shards if file.is_file() else ():
            # Read, not mapped: another process may cut the file.
            found = np.fromfile(file, np.uint64, shard.rows * 2, offset=shard.start * KEY_BYTES)[::2]
            place = np.minimum(np.searchsorted(wanted, found), len(wanted) - 1)
            if (wanted[place] == found).any():
                return True
    return False


def _remove_reading(file: Path) -> int:
    with try_lock(file.parent / FOLDER_LOCK, seconds=LOCK_SECONDS) as quiet:
        if not quiet:
            raise StoreInUseError(f"A process is writing to {file.parent}; {file.name} is left as it is.")
        freed = file.stat().st_size if file.exists() else 0
        file.unlink(missing_ok=True)
    return freed
