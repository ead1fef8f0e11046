"""What lies in the folder of `CacheConfig(save_dir=...)`: its stores, who writes to them, and what serves nobody.

Nothing here changes a file, and nothing imports torch.
"""

import contextlib
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from quaterion.cache.compacting import data_bytes, unused_bytes
from quaterion.cache.manifest import KEY_BYTES, MANIFEST, DamagedManifestError, Manifest, Shard, read_manifest
from quaterion.cache.parts import Part
from quaterion.cache.store_folder import LAST_USE
from quaterion.cache.store_locks import held_parts

__all__ = ["PartInfo", "StoreInfo", "StoreState", "find_store", "list_stores", "reading_files"]

# reading_index, which names these too, imports torch; a test holds them to each other.
READINGS, READING_ENDING = "readings", ".reading"

SHORT_NAME = 8
_NAME = re.compile(r"[0-9a-f]{1,32}-float(16|32)")
_PART_FILE = re.compile(r"part-(\d+)\.(keys|vectors|lock|claim)(\.tmp)?")
_OTHER_FILE = re.compile(rf"{re.escape(MANIFEST)}(\.tmp)?|\.lock|{LAST_USE}|.+\.damaged")

StoreState = Literal["ok", "newer", "damaged", "unreadable", "link"]
"""Whether a store can be read. It is damaged where its manifest is, since nothing tells whose vectors it holds, and
newer where a newer version of the library wrote it."""


@dataclass(frozen=True)
class PartInfo:
    """What the two files of one part hold.

    Args:
        number: Number of the part.
        shards: Its shards, in the order of their rows.
        counted_bytes: Bytes of keys and vectors that shards name.
        disk_bytes: Bytes of its two files that take space on the disk.
        unused_bytes: Those of them that no shard names and that can be freed: holes of damaged shards, and what a
            process had written when it died.
        claimed: Objects that a live process is about to encode into it.
        writing: Whether a live process writes to it.
    """

    number: int
    shards: tuple[Shard, ...]
    counted_bytes: int
    disk_bytes: int
    unused_bytes: int
    claimed: int
    writing: bool

    @property
    def rows(self) -> int:
        """Rows that count."""
        return sum(shard.rows for shard in self.shards)


@dataclass(frozen=True)
class StoreInfo:
    """One store as it lies on the disk.

    Args:
        folder: Its folder.
        short_name: A short beginning of its name that no other store has.
        state: Whether it can be read.
        problem: Why it cannot be read; "" where it can.
        manifest: What it says of itself; None where it cannot be read.
        parts: Its parts.
        disk_bytes: Bytes of all its files that take space on the disk.
        last_use: Seconds since 1970 when a training last opened it, or else when it was last written to.
        writing: Whether a live process writes to it; None where that cannot be told.
        leftovers: Files that serve nobody: set aside as damaged, or left by a process that died.
        foreign: What lies in it and comes from no store; links are always foreign.
    """

    folder: Path
    short_name: str
    state: StoreState
    problem: str
    manifest: Manifest | None = None
    parts: tuple[PartInfo, ...] = ()
    disk_bytes: int = 0
    last_use: float = 0.0
    writing: bool | None = None
    leftovers: tuple[Path, ...] = ()
    foreign: tuple[Path, ...] = ()

    @property
    def unused_bytes(self) -> int:
        """Bytes of its parts that no shard names."""
        return sum(part.unused_bytes for part in self.parts)


def list_stores(folder: Path) -> tuple[StoreInfo, ...]:
    """All stores in a folder, in the order of their names.

    Args:
        folder: The folder of `CacheConfig(save_dir=...)`.

    Returns:
        The stores; one that cannot be read says why.

    Raises:
        FileNotFoundError: There is no such folder.
        ValueError: The folder is a store itself.

    Example:
        >>> import tempfile
        >>> list_stores(Path(tempfile.mkdtemp()))
        ()
    """
    if not folder.is_dir():
        raise FileNotFoundError(
            f"There is no folder {folder}; expected the one that a training got as CacheConfig(save_dir=...)."
        )
    if _is_store(folder.resolve()):
        raise ValueError(f"{folder} is a single store; expected the folder around it, {folder.absolute().parent}.")
    found = sorted(path for path in folder.iterdir() if _is_store(path))
    names = [path.name for path in found]
    return tuple(look(path, _short_name(path.name, names)) for path in found)


def find_store(stores: Sequence[StoreInfo], name: str) -> StoreInfo:
    """The store that a name means: its whole name, or a beginning that only one store has.

    Where two stores differ in nothing but their precision, it may follow the beginning: "1f3a-float16".

    Args:
        stores: All stores of a folder.
        name: What the user typed.

    Returns:
        The store.

    Raises:
        ValueError: The name means no store, or several.
    """
    meant = set(_meant(name, [store.folder.name for store in stores]))
    found = [store for store in stores if store.folder.name in meant]
    if len(found) == 1:
        return found[0]
    allowed = ", ".join(store.short_name for store in found or stores)
    if not found:
        raise ValueError(f"Got the store {name!r}; expected a name, or the beginning of one, among: {allowed}.")
    raise ValueError(f"{name!r} is the beginning of {len(found)} names; expected one of: {allowed}.")


def reading_files(folder: Path) -> tuple[Path, ...]:
    """Files that keep what was read of a data set.

    Args:
        folder: The folder of `CacheConfig(save_dir=...)`.
    """
    readings = folder / READINGS
    return () if readings.is_symlink() else tuple(sorted(filter(is_plain_file, readings.glob(f"*{READING_ENDING}"))))


def look(folder: Path, short_name: str, *, alone: bool = False) -> StoreInfo:
    """What lies in one store's folder.

    Args:
        folder: The store's folder.
        short_name: The name to give it.
        alone: The caller has sole use of the store, so nobody writes to it.
    """
    if folder.is_symlink():
        return StoreInfo(folder, short_name, "link", f"{folder} is a link, which is not followed")
    manifest, state, problem = _manifest(folder)
    sizes, others = _entries(folder)
    held = frozenset[int]() if alone else held_parts(folder)
    used = folder / (LAST_USE if folder / LAST_USE in sizes else MANIFEST)
    return StoreInfo(
        folder=folder,
        short_name=short_name,
        state=state,
        problem=problem,
        manifest=manifest,
        parts=() if manifest is None else tuple(_parts(folder, manifest, sizes, held or frozenset())),
        disk_bytes=sum(data_bytes(path) if path.suffix == ".vectors" else size for path, size in sizes.items()),
        last_use=(used if used in sizes else folder).stat().st_mtime,
        writing=None if held is None else bool(held),
        leftovers=tuple(path for path in sizes if _serves_nobody(path, held)),
        foreign=(*others, *(path for path in sizes if not _is_own(path.name))),
    )


def is_plain_file(path: Path) -> bool:
    """Whether a path is a file and no link to one."""
    return path.is_file() and not path.is_symlink()


def _is_store(path: Path) -> bool:
    if path.is_symlink():
        return bool(_NAME.fullmatch(path.name))
    return path.is_dir() and (is_plain_file(path / MANIFEST) or any(path.glob("part-*.keys")))


def _entries(folder: Path) -> tuple[dict[Path, int], list[Path]]:
    """Sizes of the files in a folder, and what is no file; what vanishes meanwhile is left out."""
    sizes, others = {}, []
    with os.scandir(folder) as entries:
        for entry in sorted(entries, key=lambda entry: entry.name):
            if not entry.is_file(follow_symlinks=False):
                others.append(Path(entry.path))
                continue
            with contextlib.suppress(FileNotFoundError):
                sizes[Path(entry.path)] = entry.stat(follow_symlinks=False).st_size
    return sizes, others


def _is_own(name: str) -> bool:
    return any(pattern.fullmatch(name) for pattern in (_PART_FILE, _OTHER_FILE))


def _serves_nobody(path: Path, held: frozenset[int] | None) -> bool:
    if held is None or not _is_own(path.name):
        return False
    dead_claim = path.suffix == ".claim" and _part_number(path) not in held
    return dead_claim or path.suffix == ".damaged" or (path.suffix == ".tmp" and not held)


def _manifest(folder: Path) -> tuple[Manifest | None, StoreState, str]:
    try:
        found = read_manifest(folder)
    except DamagedManifestError as error:
        return None, "damaged", str(error)
    except OSError as error:
        return None, "unreadable", f"{folder / MANIFEST} cannot be read ({error.strerror})"
    except ValueError as error:
        return None, "newer", str(error).partition(". Update")[0]
    return (found, "ok", "") if found else (None, "damaged", f"{folder / MANIFEST} is missing")


def _parts(folder: Path, manifest: Manifest, sizes: dict[Path, int], held: frozenset[int]) -> Iterator[PartInfo]:
    numbers = {shard.part for shard in manifest.shards}
    numbers |= {number for path in sizes if (number := _part_number(path)) is not None and path.suffix != ".lock"}
    for number in sorted(numbers | held):
        part = Part(folder, number, manifest.dimension, manifest.dtype)
        shards = tuple(sorted(shard for shard in manifest.shards if shard.part == number))
        yield PartInfo(
            number=number,
            shards=shards,
            counted_bytes=sum(shard.rows for shard in shards) * (KEY_BYTES + part.row_bytes),
            disk_bytes=data_bytes(part.keys_file) + data_bytes(part.vectors_file),
            unused_bytes=unused_bytes(part, shards),
            claimed=sizes.get(folder / f"part-{number}.claim", 0) // KEY_BYTES if number in held else 0,
            writing=number in held,
        )


def _part_number(path: Path) -> int | None:
    found = _PART_FILE.fullmatch(path.name)
    return int(found[1]) if found else None


def _short_name(name: str, names: Sequence[str]) -> str:
    if not _NAME.fullmatch(name):
        return name
    fingerprint, _, dtype = name.partition("-")
    for length in range(SHORT_NAME, len(fingerprint)):
        for candidate in (fingerprint[:length], f"{fingerprint[:length]}-{dtype}"):
            if _meant(candidate, names) == [name]:
                return candidate
    return name


def _meant(text: str, names: Sequence[str]) -> list[str]:
    if text in names:
        return [text]
    beginning, _, dtype = text.rpartition("-")
    found = [name for name in names if text and name.startswith(text)]
    return found or [
        name for name in names if beginning and name.startswith(beginning) and name.partition("-")[2] == dtype
    ]
