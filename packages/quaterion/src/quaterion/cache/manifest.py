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
from collections.abc import Collection
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from filelock import FileLock

from quaterion.cache.files import replace_file

__all__ = [
    "MANIFEST",
    "DamagedManifestError",
    "Manifest",
    "Shard",
    "digest",
    "folder_lock",
    "manifest_digest",
    "read_manifest",
]

FORMAT_VERSION = 1
MANIFEST = "manifest.json"
KEY_BYTES = 16
KINDS = ("vector", "token")


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
        kind: What a row is: "vector", that of an object; or "token", the state of one of an object's tokens, under the
            object's key, beside those of its other tokens. A reader refuses what it does not know.
        created: Seconds since 1970 when the store was made.
        shards: The shards.
        ends: For parts that lost a damaged shard, the row behind the last one there ever was: rows are not used twice,
            because a process may still read the old ones.
    """

    fingerprint: str
    encoder: str
    dimension: int
    dtype: str
    kind: str = "vector"
    created: float = field(default_factory=time.time, compare=False)
    shards: tuple[Shard, ...] = ()
    ends: tuple[tuple[int, int], ...] = ()

    @property
    def rows(self) -> int:
        """Number of rows in all shards."""
        return sum(shard.rows for shard in self.shards)

    @property
    def content(self) -> str:
        """What the rows are, for messages."""
        return "token states" if self.kind == "token" else "vectors"

    def end_of(self, part: int) -> int:
        """Row behind the last one of a part."""
        stops = [shard.stop for shard in self.shards if shard.part == part]
        return max([0, *stops, *(end for number, end in self.ends if number == part)])

    def without(self, damaged: Collection[Shard]) -> "Manifest":
        """The manifest without some of its shards, whose rows stay unused.

        Args:
            damaged: Shards to drop.
        """
        parts = sorted({shard.part for shard in damaged} | {number for number, _ in self.ends})
        return replace(
            self,
            shards=tuple(shard for shard in self.shards if shard not in damaged),
            ends=tuple((part, self.end_of(part)) for part in parts),
        )

    def write(self, folder: Path) -> None:
        """Replaces the manifest of a folder in one step; the caller holds the folder's lock.

        Args:
            folder: The store's folder.

        Raises:
            OSError: The file could not be written; the old one stays.
        """
        content = asdict(self)
        whole = {
            "format_version": FORMAT_VERSION,
            "digest": manifest_digest(FORMAT_VERSION, content),
            "content": content,
        }
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
        # First of all, so that no flipped bit passes for a newer format: every format has to keep this checksum.
        if manifest_digest(version, content) != whole["digest"]:
            raise DamagedManifestError(f"{path} is damaged: its checksum is not the one that was written")
        if version > FORMAT_VERSION:
            raise _newer(path, f"format_version {version}", f"up to {FORMAT_VERSION}")
        kind = content["kind"]
        if kind not in KINDS:
            raise _newer(path, f"rows of the kind {kind!r}", " and ".join(map(repr, KINDS)))
        shards = tuple(Shard(**shard) for shard in content.pop("shards"))
        ends = tuple((part, end) for part, end in content.pop("ends"))
        return Manifest(**content, shards=shards, ends=ends)
    except FileNotFoundError:
        return None
    except (UnicodeDecodeError, json.JSONDecodeError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise DamagedManifestError(f"{path} is damaged ({error})") from error


def _newer(path: Path, found: str, known: str) -> ValueError:
    return ValueError(
        f"{path} has {found}; this version of quaterion reads {known}. Update quaterion, or use another save_dir."
    )


def manifest_digest(version: int, content: Any) -> str:
    """Checksum of a manifest, the same in every format.

    Args:
        version: The format's version.
        content: What the manifest says, ready for JSON.
    """
    return digest(json.dumps([version, content], sort_keys=True, separators=(",", ":")).encode())


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
