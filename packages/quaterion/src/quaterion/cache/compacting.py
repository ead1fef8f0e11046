"""Giving back the disk space of rows that no shard names, without moving any row that counts.

A file is copied with gaps in place of the holes, which take no space on the disk, and put in the place of the old one.
Every row keeps its place: no manifest changes, and a process that has the store open, whether it has mapped the old
file or will map the new one, finds the vectors that it expects.
"""

import contextlib
import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

from quaterion.cache.manifest import KEY_BYTES, Shard
from quaterion.cache.parts import Part

__all__ = ["compact_part", "data_bytes", "unused_bytes"]

CHUNK = 2**20


def compact_part(part: Part, shards: Sequence[Shard]) -> int:
    """Frees what `unused_bytes` counts; the caller has sole use of the store.

    Args:
        part: The part.
        shards: Its shards, in the order of their rows.

    Returns:
        Bytes that were freed.

    Raises:
        OSError: A file could not be rewritten; it stays as it was.
    """
    before = sum(map(data_bytes, _files(part)))
    if shards:
        part.cut(shards[-1].stop)
    for file, row_bytes in _files(part).items():
        if not shards:
            file.unlink(missing_ok=True)
        elif any(data_bytes(file, *hole) for hole in _holes(file, row_bytes, shards)):
            _rewrite(file, [(shard.start * row_bytes, shard.stop * row_bytes) for shard in shards])
    return before - sum(map(data_bytes, _files(part)))


def unused_bytes(part: Part, shards: Sequence[Shard]) -> int:
    """Bytes on the disk that no shard names and that can be freed: whole blocks of holes, and all behind the last row.

    Args:
        part: The part.
        shards: Its shards, in the order of their rows.
    """
    end = shards[-1].stop if shards else 0
    unused = 0
    for file, row_bytes in _files(part).items():
        unused += sum(data_bytes(file, *hole) for hole in _holes(file, row_bytes, shards))
        unused += data_bytes(file, end * row_bytes)
    return unused


def data_bytes(file: Path, start: int = 0, stop: int | None = None) -> int:
    """Bytes of a file that take space on the disk; gaps that were never written do not.

    Args:
        file: The file; one that is missing, or that must not be read, has none.
        start: First byte to count.
        stop: Byte behind the last one; None for the file's end.
    """
    total = 0
    with contextlib.suppress(FileNotFoundError, PermissionError), file.open("rb", buffering=0) as stream:
        size = os.fstat(stream.fileno()).st_size
        stop = size if stop is None else min(stop, size)
        if not hasattr(os, "SEEK_DATA"):
            return max(0, stop - start)
        # ENXIO, an OSError: no data behind this place.
        with contextlib.suppress(OSError):
            while start < stop and (start := os.lseek(stream.fileno(), start, os.SEEK_DATA)) < stop:
                end = min(stop, os.lseek(stream.fileno(), start, os.SEEK_HOLE))
                total, start = total + end - start, end
    return total


def _files(part: Part) -> dict[Path, int]:
    return {part.keys_file: KEY_BYTES, part.vectors_file: part.row_bytes}


def _holes(file: Path, row_bytes: int, shards: Sequence[Shard]) -> Iterator[tuple[int, int]]:
    """Whole blocks between the rows that count: a file system frees no less."""
    block = max(4096, file.stat().st_blksize) if file.exists() else 4096
    end = 0
    for shard in shards:
        first, last = -(-end * row_bytes // block) * block, shard.start * row_bytes // block * block
        if first < last:
            yield first, last
        end = shard.stop


def _rewrite(file: Path, ranges: Sequence[tuple[int, int]]) -> None:
    temporary = file.with_name(f"{file.name}.tmp")
    try:
        with file.open("rb") as old, temporary.open("wb") as new:
            for start, stop in ranges:
                old.seek(start)
                new.seek(start)
                left = stop - start
                while left and (content := old.read(min(left, CHUNK))):
                    new.write(content)
                    left -= len(content)
            new.flush()
            os.fsync(new.fileno())
        shutil.copymode(file, temporary)
        temporary.replace(file)
    except BaseException as error:
        temporary.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise type(error)(
                error.errno,
                f"Cannot rewrite a file without its holes: {error.strerror}. It stays as it was. Free "
                f"{sum(stop - start for start, stop in ranges) / 2**20:,.1f} MiB and try again",
                str(file),
            ) from error
        raise
