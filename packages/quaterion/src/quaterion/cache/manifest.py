"""What a store's folder holds: one JSON file, replaced in one step, that says what every byte beside it means.

```
store/
  manifest.json            the encoder, the size of a vector, and the shards with a checksum for each
  part-0.keys              16 bytes a row
  part-0.vectors           D numbers a row, little-endian
  part-0.lock, .claim      while somebody writes to the part
```

A shard is a run of rows in a part. Rows that no manifest names do not exist: what a process had written when it
died lies behind the last shard, and the next writer of that part cuts it off.
"""

import hashlib
import json
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from filelock import FileLock

from quaterion.cache.files import replace_file

__all__ = ["MANIFEST", "DamagedManifestError", "Manifest", "Shard", "digest", "folder_lock", "read_manifest"]

FORMAT_VERSION = 1
MANIFEST = "manifest.json"
KEY_BYTES = 16


@dataclass(frozen=True, order=True)
class Shard:
    """A run of rows in one part.

    Args:
        part: Number of the part.
        start: First row in the part.
        rows: Number of rows.
        keys_digest: BLAKE2 of the rows' keys.
        vectors_digest: BLAKE2 of the rows' vectors.
    """

    part: int
    start: int
    rows: int
    keys_digest: str
    vectors_digest: str

    @property
    def stop(self) -> int:
        """Row behind the last one."""
        return self.start + self.rows


@dataclass(frozen=True)
class Manifest:
    """What a store holds.

    Args:
        fingerprint: Fingerprint of the encoder that gave the vectors.
        encoder: A readable name of the encoder.
        dimension: Length of a vector.
        dtype: "float32" or "float16".
        kind: What a row is; so far always "vector", one of `dimension` numbers. A reader refuses what it does not know.
        created: Seconds since 1970 when the store was made.
        shards: The shards.
    """

    fingerprint: str
    encoder: str
    dimension: int
    dtype: str
    kind: str = "vector"
    created: float = field(default_factory=time.time, compare=False)
    shards: tuple[Shard, ...] = ()

    @property
    def rows(self) -> int:
        """Number of rows in all shards."""
        return sum(shard.rows for shard in self.shards)

    def end_of(self, part: int) -> int:
        """Row behind the last one of a part."""
        return max((shard.stop for shard in self.shards if shard.part == part), default=0)

    def write(self, folder: Path) -> None:
        """Replaces the manifest of a folder in one step; the caller holds the folder's lock.

        Args:
            folder: The store's folder.

        Raises:
            OSError: The file could not be written; the old one stays.
        """
        content = _canonical(asdict(self))
        whole = {"format_version": FORMAT_VERSION, "digest": digest(content.encode()), "content": json.loads(content)}
        replace_file(folder / MANIFEST, json.dumps(whole).encode())


class DamagedManifestError(ValueError):
    """A manifest is not what was written."""


def read_manifest(folder: Path) -> Manifest | None:
    """The manifest of a store's folder.

    Args:
        folder: The folder.

    Returns:
        The manifest, None where there is none yet.

    Raises:
        DamagedManifestError: The file is not what was written.
        ValueError: The file is of a newer format.
    """
    path = folder / MANIFEST
    try:
        whole = json.loads(path.read_bytes())
        version, content = whole["format_version"], whole["content"]
        if isinstance(version, int) and version > FORMAT_VERSION:
            raise _newer(path, f"format_version {version}", f"up to {FORMAT_VERSION}")
        if digest(_canonical(content).encode()) != whole["digest"]:
            raise DamagedManifestError(f"{path} is damaged: its checksum is not the one that was written")
        kind = content["kind"]
        if kind != "vector":
            raise _newer(path, f"rows of the kind {kind!r}", "'vector'")
        shards = tuple(Shard(**shard) for shard in content.pop("shards"))
        return Manifest(**content, shards=shards)
    except FileNotFoundError:
        return None
    except (UnicodeDecodeError, json.JSONDecodeError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise DamagedManifestError(f"{path} is damaged ({error})") from error


def _newer(path: Path, found: str, known: str) -> ValueError:
    return ValueError(
        f"{path} has {found}; this version of quaterion reads {known}. Update quaterion, or use another save_dir."
    )


def _canonical(content: Any) -> str:
    return json.dumps(content, sort_keys=True, separators=(",", ":"))


def digest(data: bytes | memoryview) -> str:
    """Checksum of bytes: 128 bits of BLAKE2, in hexadecimal digits.

    Args:
        data: Any contiguous buffer.
    """
    return hashlib.blake2b(data, digest_size=16).hexdigest()


def folder_lock(folder: Path) -> FileLock:
    """The lock that covers a change of the manifest or of claims; it lapses with its process.

    Args:
        folder: The store's folder.

    Returns:
        A context manager.
    """
    return FileLock(folder / ".lock")
