"""The files of an index folder: read with suspicion, and written so that a crash leaves what was saved before.

A folder holds `index.json` and the files that it names. Each save writes files with new names, then replaces
`index.json` in one step, then removes what is no longer named.
"""

from __future__ import annotations

import io
import json
import os
import re
import secrets
import stat
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from hashlib import blake2b
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from quaterion_models.file_digest import file_digest
from quaterion_models.saving import strict_json

FORMAT_VERSION = 1
INDEX = "index.json"
_LOCK = "index.lock"
_OURS = re.compile(r"(vectors|objects|deleted|ann|index)-[0-9a-f]{16}\.(npy|jsonl|faiss|tmp)")


class IndexFolderError(ValueError):
    """An index folder that cannot be read or written; the message names the file and what to do."""


@contextmanager
def only_writer(folder: Path) -> Iterator[None]:
    """Holds a folder for writing, as long as the block lasts or the process lives.

    Args:
        folder: The folder; made where it is not there.

    Raises:
        IndexFolderError: If another process is writing to it, or it holds files but no index.
    """
    if folder.exists() and not folder.is_dir():
        raise IndexFolderError(f"{folder} is a file, expected a folder or nothing. Choose another path")
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / INDEX).exists() and any(e.name != _LOCK and not _OURS.fullmatch(e.name) for e in folder.iterdir()):
        raise IndexFolderError(f"{folder} holds files but no index. Choose another path, or empty it")
    with (folder / _LOCK).open("ab") as file:
        if not _locked(file):
            raise IndexFolderError(f"another process is saving an index to {folder}. Wait for it, or save elsewhere")
        yield


def new_name(kind: str, suffix: str) -> str:
    """Makes the name of a new file: `vectors-0123456789abcdef.npy`."""
    return f"{kind}-{secrets.token_hex(8)}{suffix}"


def write_file(path: Path, content: Iterable[bytes | memoryview]) -> str:
    """Writes a new file, and waits until it has reached the disk.

    Args:
        path: The file.
        content: Its bytes, piece by piece.

    Returns:
        Its digest, that of `quaterion_models.file_digest.file_digest`.
    """
    hasher = blake2b(digest_size=16)
    try:
        with path.open("xb") as file:
            for piece in content:
                hasher.update(piece)
                file.write(piece)
            file.flush()
            os.fsync(file.fileno())
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    return hasher.hexdigest()


def npy_pieces(
    shape: tuple[int, ...], dtype: np.dtype[Any], pieces: Iterable[NDArray[Any]]
) -> Iterator[bytes | memoryview]:
    """Gives the bytes of a `.npy` file, without having the whole array in memory.

    Args:
        shape: The array's shape.
        dtype: Its type.
        pieces: Its rows.

    Yields:
        Bytes.
    """
    header = io.BytesIO()
    described = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(header, described)
    yield header.getvalue()
    for piece in pieces:
        yield np.ascontiguousarray(piece, dtype=dtype).data.cast("B")


def mapped(path: Path, shape: tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[Any]:
    """Maps a `.npy` file into memory.

    Args:
        path: The file.
        shape: The shape that it has to have.
        dtype: The type that it has to have.

    Returns:
        The array, read only.

    Raises:
        IndexFolderError: If it is anything else.
    """
    try:
        with np.errstate(over="raise"):  # the sizes may be any number
            array = np.lib.format.open_memmap(os.fspath(path), mode="r")
    except (ValueError, ArithmeticError) as error:
        raise IndexFolderError(f"{path} is no whole .npy file: {error!s:.200}") from error
    if array.shape != shape or array.dtype != dtype or not array.flags.c_contiguous:
        raise IndexFolderError(
            f"{path} holds {array.dtype} {list(array.shape)}, the index {dtype} {list(shape)}. Save the index again"
        )
    return array.view(np.ndarray)


def existing(folder: Path, entry: Any, kind: str) -> Path:
    """Finds a file that `index.json` names.

    Args:
        folder: The folder.
        entry: What `index.json` says: `{"name", "digest"}`.
        kind: `"vectors"`, `"objects"`, `"deleted"` or `"ann"`.

    Returns:
        The file, whose content has that digest.

    Raises:
        IndexFolderError: If it is missing, damaged, or no file of that kind in the folder.
        FileNotFoundError: If it is not there.
    """
    name = entry.get("name") if isinstance(entry, dict) else None
    if not isinstance(name, str) or not _OURS.fullmatch(name) or not name.startswith(f"{kind}-"):
        raise IndexFolderError(f"{folder / INDEX} names {name!r:.100}, expected a file of {kind}")
    path = folder / name
    if not stat.S_ISREG(path.lstat().st_mode):
        raise IndexFolderError(f"{path} is a link or no file: not read")
    if file_digest(path) != entry.get("digest"):
        raise IndexFolderError(f"{path} is damaged: it is not what was saved. Make the index again")
    return path


def read_index(folder: Path) -> dict[str, Any]:
    """Reads `index.json`.

    Args:
        folder: The folder.

    Returns:
        Its content, of a version that this library knows.

    Raises:
        IndexFolderError: If it is missing, damaged or of a newer version.
    """
    path = folder / INDEX
    try:
        content = strict_json.parse(strict_json.read_bytes(path))
    except (FileNotFoundError, NotADirectoryError) as error:
        raise IndexFolderError(f"{folder} holds no index: there is no {INDEX}") from error
    except OSError as error:
        raise IndexFolderError(f"{path} cannot be read: {error}") from error
    except (ValueError, RecursionError) as error:
        raise IndexFolderError(f"{path} is damaged: {error!s:.200}") from error
    version = content.get("format_version") if isinstance(content, dict) else None
    if not isinstance(version, int) or isinstance(version, bool) or version < 1:
        raise IndexFolderError(f'{path} must be a JSON object with a "format_version" of {FORMAT_VERSION}')
    if version > FORMAT_VERSION:
        raise IndexFolderError(
            f"{path} has format_version {version}, this library reads up to {FORMAT_VERSION}. "
            "Install a newer one: pip install --upgrade quaterion-models"
        )
    return dict(content)


def checked_field(content: dict[str, Any], name: str, kind: type, folder: Path) -> Any:
    """Takes a value of a known type out of what `index.json` holds.

    Args:
        content: Its content, or an object in it.
        name: The value's name.
        kind: Its type.
        folder: The folder, for messages.

    Returns:
        The value.

    Raises:
        IndexFolderError: If it is missing, of another type, or a negative number.
    """
    value = content.get(name)
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise IndexFolderError(f"{folder / INDEX}: {name!r} must be {kind.__name__}, it is {value!r:.100}")
    if isinstance(value, int) and value < 0:
        raise IndexFolderError(f"{folder / INDEX}: {name!r} must not be negative, it is {value}")
    return value


def replace_index(folder: Path, content: dict[str, Any], names: set[str]) -> None:
    """Makes what was written the index of the folder, and removes files that no index names.

    Args:
        folder: The folder, held by `only_writer`.
        content: What `index.json` shall hold.
        names: Files that it names.
    """
    temporary = folder / new_name("index", ".tmp")
    text = (json.dumps(content, indent=2, allow_nan=False) + "\n").encode()
    strict_json.check_size(text)
    write_file(temporary, [text])
    sync(folder)  # the files that it names are there before it is
    temporary.replace(folder / INDEX)
    sync(folder)
    for entry in list(folder.iterdir()):
        if _OURS.fullmatch(entry.name) and entry.name not in names:
            with suppress(OSError):  # still mapped by someone, where such files cannot be removed
                entry.unlink()


def sync(path: Path) -> None:
    """Waits until a file, or the names in a folder, have reached the disk."""
    if sys.platform == "win32" and path.is_dir():  # it has no way to do this for folders
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _locked(file: IO[bytes]) -> bool:
    try:
        if sys.platform == "win32":
            import msvcrt

            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return False
    return True
