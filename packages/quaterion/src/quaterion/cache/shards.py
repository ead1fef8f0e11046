"""Files of an embedding store: shards of keys and vectors, and the manifest that lists them.

```
store/
  manifest.json          what the vectors are, and a checksum for each shard
  <name>.keys.npy        uint8 [n, 16]
  <name>.vectors.npy     float32 or float16 [n, D]
```

Every file is written under a temporary name, flushed and renamed, shards before the manifest that lists them, so a
process that dies leaves files that nothing refers to and never a half-written one that something does.
"""

import hashlib
import json
import os
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from filelock import FileLock
from numpy.typing import NDArray

__all__ = [
    "DamagedShardError",
    "Manifest",
    "Shard",
    "lock",
    "read_manifest",
    "read_shard",
    "write_manifest",
    "write_shard",
]

FORMAT_VERSION = 1
MANIFEST = "manifest.json"


@dataclass(frozen=True)
class Shard:
    """One pair of files.

    Args:
        name: File name without its endings.
        rows: Number of vectors.
        keys_digest: BLAKE2 of the keys' file.
        vectors_digest: BLAKE2 of the vectors' file.
    """

    name: str
    rows: int
    keys_digest: str
    vectors_digest: str


@dataclass(frozen=True)
class Manifest:
    """What a store holds.

    Args:
        fingerprint: Fingerprint of the encoder that gave the vectors.
        encoder: A readable name of the encoder.
        dimension: Length of a vector.
        dtype: "float32" or "float16".
        shards: The shards, in the order of the rows.
    """

    fingerprint: str
    encoder: str
    dimension: int
    dtype: str
    shards: tuple[Shard, ...] = ()


class DamagedShardError(ValueError):
    """A shard's file is missing or its content is not what was written."""


def write_shard(folder: Path, keys: NDArray[np.uint8], vectors: NDArray[Any]) -> Shard:
    """Writes one shard; nothing refers to it until a manifest does.

    Args:
        folder: The store's folder.
        keys: uint8 `[n, 16]`.
        vectors: `[n, D]`.

    Returns:
        The shard's entry for the manifest.

    Raises:
        OSError: The files could not be written; what was written of them is removed.
    """
    name = f"shard-{os.urandom(8).hex()}"
    keys_digest = _write_array(folder / f"{name}.keys.npy", keys)
    try:
        vectors_digest = _write_array(folder / f"{name}.vectors.npy", vectors)
    except OSError:
        (folder / f"{name}.keys.npy").unlink(missing_ok=True)
        raise
    return Shard(name=name, rows=len(keys), keys_digest=keys_digest, vectors_digest=vectors_digest)


def read_shard(folder: Path, shard: Shard, *, dimension: int, dtype: str) -> tuple[NDArray[np.uint8], NDArray[Any]]:
    """Keys (in memory) and vectors (memory-mapped) of a shard whose checksums hold.

    Args:
        folder: The store's folder.
        shard: Entry of the manifest.
        dimension: Expected length of a vector.
        dtype: Expected precision.

    Returns:
        uint8 `[n, 16]` and `[n, D]`.

    Raises:
        DamagedShardError: A file is missing or damaged; the message names it.
    """
    keys_file, vectors_file = folder / f"{shard.name}.keys.npy", folder / f"{shard.name}.vectors.npy"
    for file, digest in ((keys_file, shard.keys_digest), (vectors_file, shard.vectors_digest)):
        if not file.is_file():
            raise DamagedShardError(f"{file} is missing")
        with file.open("rb") as stream:
            if hashlib.file_digest(stream, _digest).hexdigest() != digest:
                raise DamagedShardError(f"{file} is damaged: its checksum is not the one that was written")
    keys = np.load(keys_file, allow_pickle=False)
    vectors = np.load(vectors_file, mmap_mode="r", allow_pickle=False)
    if keys.shape != (shard.rows, 16) or vectors.shape != (shard.rows, dimension) or vectors.dtype != dtype:
        raise DamagedShardError(
            f"{vectors_file} holds {vectors.shape} {vectors.dtype}; expected {(shard.rows, dimension)} {dtype}"
        )
    return keys, vectors


def read_manifest(folder: Path) -> Manifest | None:
    """The manifest of a store's folder, None where there is none yet.

    Args:
        folder: The store's folder.

    Raises:
        ValueError: The manifest is damaged, or of a newer format.
    """
    path = folder / MANIFEST
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    except UnicodeDecodeError:
        text = ""
    try:
        data = json.loads(text)
        version = data.pop("format_version")
        if isinstance(version, int) and version > FORMAT_VERSION:
            raise ValueError(
                f"{path} has format_version {version}; this version of quaterion reads up to {FORMAT_VERSION}. "
                "Update quaterion, or use another save_dir."
            )
        shards = tuple(_checked_shard(shard) for shard in data.pop("shards"))
        manifest = Manifest(**data, shards=shards)
    except (json.JSONDecodeError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{path} is damaged ({error}). Delete the folder {folder} to encode anew.") from error
    return manifest


def _checked_shard(entry: dict[str, Any]) -> Shard:
    shard = Shard(**entry)
    # The name becomes part of a path: a manifest from elsewhere must not lead out of its folder.
    if not isinstance(shard.name, str) or not shard.name.replace("-", "").isalnum():
        raise TypeError(f"a shard is named {shard.name!r}")
    return shard


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Replaces the manifest in one step.

    Args:
        folder: The store's folder.
        manifest: What it is to say.
    """
    text = json.dumps({"format_version": FORMAT_VERSION, **asdict(manifest)}, indent=1)
    _write(folder / MANIFEST, lambda stream: stream.write(text.encode()))


def lock(folder: Path) -> FileLock:
    """The lock that covers a change of the manifest; it lapses with its process.

    Args:
        folder: The store's folder.

    Returns:
        A context manager.
    """
    return FileLock(folder / ".lock")


def _digest() -> Any:
    return hashlib.blake2b(digest_size=16)


def _write_array(path: Path, array: NDArray[Any]) -> str:
    _write(path, lambda stream: np.lib.format.write_array(stream, np.ascontiguousarray(array), allow_pickle=False))
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, _digest).hexdigest()


def _write(path: Path, write: Callable[[IO[bytes]], object]) -> None:
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as stream:
            write(stream)
            stream.flush()
            os.fsync(stream.fileno())
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
