"""Comparing a store's files with their checksums, without changing any of them."""

import hashlib
import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from quaterion.cache.manifest import KEY_BYTES, Manifest, Shard, read_manifest
from quaterion.cache.parts import Part

__all__ = ["Damage", "check_store", "damaged_shards"]

CHUNK = 2**20


@dataclass(frozen=True, order=True)
class Damage:
    """Rows of a file that are not what was written.

    Args:
        file: The file.
        start: First row.
        rows: Number of rows.
        problem: What is wrong with them.
    """

    file: Path
    start: int
    rows: int
    problem: str


def damaged_shards(
    folder: Path, manifest: Manifest, advance: Callable[[int], object] = lambda _: None
) -> dict[Shard, list[Damage]]:
    """Compares every shard of a store with its checksums, on all cores.

    Files are read, not mapped: somebody may cut one meanwhile, and a process that reads a mapped file behind its end is
    killed.

    Args:
        folder: The store's folder.
        manifest: Its manifest.
        advance: Gets the number of rows after each shard.

    Returns:
        What is wrong with each damaged shard.

    Example:
        >>> damaged_shards(Path("vectors"), Manifest(fingerprint="f0", encoder="E", dimension=2, dtype="float32"))
        {}
    """
    damaged: dict[Shard, list[Damage]] = {}
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        found = pool.map(lambda shard: _damages(folder, manifest, shard), manifest.shards)
        for shard, damages in zip(manifest.shards, found, strict=True):
            advance(shard.rows)
            if damages:
                damaged[shard] = damages
    return damaged


def check_store(
    folder: Path, manifest: Manifest, advance: Callable[[int], object] = lambda _: None
) -> tuple[Damage, ...]:
    """Compares a store that others may mend meanwhile with its checksums.

    Args:
        folder: The store's folder.
        manifest: Its manifest.
        advance: Gets the number of rows after each shard.

    Returns:
        What is damaged; rows that lie side by side are joined.

    Raises:
        OSError: The manifest cannot be read again.
        ValueError: The manifest was damaged meanwhile.

    Example:
        >>> check_store(Path("vectors"), Manifest(fingerprint="f0", encoder="E", dimension=2, dtype="float32"))
        ()
    """
    damaged = damaged_shards(folder, manifest, advance)
    if not damaged:
        return ()
    # Rows that a training has set aside since are mended, not damaged.
    current = read_manifest(folder)
    named = set() if current is None else set(current.shards)
    return _joined(one for shard, damages in damaged.items() if shard in named for one in damages)


def _damages(folder: Path, manifest: Manifest, shard: Shard) -> list[Damage]:
    part = Part(folder, shard.part, manifest.dimension, manifest.dtype)
    problems = {
        part.keys_file: _problem(part.keys_file, shard, KEY_BYTES, shard.keys_digest),
        part.vectors_file: _problem(part.vectors_file, shard, part.row_bytes, shard.vectors_digest),
    }
    return [Damage(file, shard.start, shard.rows, problem) for file, problem in problems.items() if problem]


def _problem(file: Path, shard: Shard, row_bytes: int, expected: str) -> str:
    found, left = hashlib.blake2b(digest_size=16), shard.rows * row_bytes  # as `manifest.digest`, but piece by piece
    try:
        with file.open("rb") as stream:
            stream.seek(shard.start * row_bytes)
            while left and (content := stream.read(min(left, CHUNK))):
                found.update(content)
                left -= len(content)
    except FileNotFoundError:
        return "the file is missing"
    except OSError as error:
        return f"the file cannot be read ({error.strerror})"
    if left:
        return "the file ends before their end"
    return "" if found.hexdigest() == expected else "they are not what was written"


def _joined(damages: Iterable[Damage]) -> tuple[Damage, ...]:
    joined: list[Damage] = []
    for one in sorted(damages):
        last = joined[-1] if joined else None
        if last and (last.file, last.start + last.rows, last.problem) == (one.file, one.start, one.problem):
            joined[-1] = replace(last, rows=last.rows + one.rows)
        else:
            joined.append(one)
    return tuple(joined)
