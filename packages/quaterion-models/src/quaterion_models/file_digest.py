"""Digests of files, remembered between processes so that large weights are read once."""

from __future__ import annotations

import json
import os
import secrets
import time
from hashlib import blake2b
from pathlib import Path

_WORTH_REMEMBERING = 2**20  # bytes; smaller files are read faster than looked up
_MOST_ENTRIES = 1000
_SETTLED = 2.0  # seconds; a file changed more recently may change again without a new time stamp


def file_digest(path: Path) -> str:
    """Computes a 128-bit BLAKE2 digest of a file's bytes.

    Digests of large files are remembered by path, size and time of change in a small file in the user's cache folder.
    Where that cannot be read or written, the file is read again each time.

    Args:
        path: The file.

    Returns:
        32 hexadecimal digits.

    Raises:
        OSError: If the file cannot be read.
    """
    about = path.stat()
    if about.st_size < _WORTH_REMEMBERING:
        return _read(path)
    key = f"{path.resolve()}|{about.st_size}|{about.st_mtime_ns}"
    memory = _remembered()
    if key in memory:
        return memory[key]
    digest = _read(path)
    if time.time() - about.st_mtime > _SETTLED:
        _remember(key, digest)
    return digest


def cache_folder() -> Path:
    """Returns the folder for what can be computed again: `$XDG_CACHE_HOME/quaterion` or `~/.cache/quaterion`."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path("~/.cache").expanduser()) / "quaterion"


def _read(path: Path) -> str:
    hasher = blake2b(digest_size=16)
    with path.open("rb") as file:
        while block := file.read(2**20):
            hasher.update(block)
    return hasher.hexdigest()


def _memory_file() -> Path:
    return cache_folder() / "file-digests.json"


def _remembered() -> dict[str, str]:
    try:
        content = json.loads(_memory_file().read_bytes())
    except (OSError, ValueError, RuntimeError):  # missing, damaged, or no home folder: as good as empty
        return {}
    if not isinstance(content, dict):
        return {}
    return {key: value for key, value in content.items() if isinstance(value, str) and len(value) == 32}


def _remember(key: str, digest: str) -> None:
    path_part = key.split("|", 1)[0]
    memory = {old: value for old, value in _remembered().items() if old.split("|", 1)[0] != path_part}
    memory[key] = digest
    kept = dict(list(memory.items())[-_MOST_ENTRIES:])
    temporary: Path | None = None
    try:
        target = _memory_file()
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = target.with_name(f"{target.name}.{os.getpid()}-{secrets.token_hex(4)}")
        temporary.write_text(json.dumps(kept), encoding="utf-8")
        temporary.replace(target)  # readers see the old file or the new one
    except (OSError, RuntimeError):  # a memory that cannot be written only costs time
        if temporary is not None:
            temporary.unlink(missing_ok=True)
