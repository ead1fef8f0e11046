"""Writing a folder all at once: beside its place, then renamed, so that a crash leaves the old one whole."""

from __future__ import annotations

import ctypes
import errno
import os
import re
import secrets
import shutil
import socket
import sys
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from hashlib import blake2b
from pathlib import Path

from quaterion_models.saving.files import ModelFolderError, sync_folder

_AT_FDCWD = -100
_RENAME_EXCHANGE = 2
_LONGEST = 100  # bytes of a folder's name; a system allows 255


@contextmanager
def new_folder(target: Path, *, is_ours: Callable[[Path], bool], ours: Collection[str]) -> Iterator[Path]:
    """Gives an empty folder to write to, and puts it in the place of `target` when all is written.

    Args:
        target: Where the folder shall be. A folder of ours that is there is replaced in one step; files in it that are
            not ours stay.
        is_ours: Tells whether an existing folder may be replaced.
        ours: Names of the entries that belong to such a folder.

    Yields:
        A folder beside `target`. If the block fails, it is removed and `target` is as it was.

    Raises:
        ModelFolderError: If `target` is a file, or a folder that is neither empty nor ours.
    """
    target = target.resolve()
    if target.exists() and not target.is_dir():
        raise ModelFolderError(f"{target} is a file, expected a folder or nothing. Choose another path")
    if target.exists() and any(target.iterdir()) and not is_ours(target):
        raise ModelFolderError(
            f"{target} holds files but no saved model, so it is not replaced. Choose another path, or empty it"
        )
    target.parent.mkdir(parents=True, exist_ok=True)
    _remove_leftovers(target)
    fresh = target.with_name(_side_name(target, "new"))
    fresh.mkdir()
    try:
        yield fresh
        if target.exists():
            _keep_others(target, fresh, ours)
        sync_folder(fresh)
        _put(fresh, target)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    _sync_parent(target)


def find_folder(target: Path) -> Path:
    """Finds a folder, or what a crash in the middle of replacing it has left of it.

    Args:
        target: The folder.

    Returns:
        `target`, or the old folder beside it where only that one is there.
    """
    if target.exists():
        return target
    left = [entry for entry, kind, _ in _side_folders(target) if kind == "old"]
    return max(left, key=lambda entry: entry.stat().st_mtime) if left else target


def _put(fresh: Path, target: Path) -> None:
    if not target.exists() or not any(target.iterdir()):
        if target.exists() and os.name == "nt":
            target.rmdir()
        try:
            fresh.rename(target)
        except OSError as error:
            if error.errno not in {errno.ENOTEMPTY, errno.EEXIST}:
                raise  # else another save was quicker, and there is a folder to replace now
        else:
            return
    if not exchange(fresh, target):
        # No single step on this system: between the two renames the old folder is found by find_folder.
        old = target.with_name(_side_name(target, "old"))
        target.rename(old)
        try:
            fresh.rename(target)
        except OSError:
            old.rename(target)
            raise
        shutil.rmtree(old, ignore_errors=True)


def exchange(one: Path, other: Path) -> bool:
    """Swaps two folders in one step.

    Args:
        one: A folder.
        other: Another on the same file system.

    Returns:
        Whether the system could do it.

    Raises:
        OSError: If it could, and failed.
    """
    if os.name != "posix":
        return False
    libc = ctypes.CDLL(None, use_errno=True)
    paths = os.fsencode(one), os.fsencode(other)
    if sys.platform == "linux" and hasattr(libc, "renameat2"):
        result = libc.renameat2(_AT_FDCWD, paths[0], _AT_FDCWD, paths[1], _RENAME_EXCHANGE)
    elif sys.platform == "darwin" and hasattr(libc, "renamex_np"):
        result = libc.renamex_np(*paths, _RENAME_EXCHANGE)  # RENAME_SWAP has the same number
    else:
        return False
    if result == 0:
        return True
    number = ctypes.get_errno()
    if number in {errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP}:  # not on this file system
        return False
    raise OSError(number, os.strerror(number), str(one), None, str(other))


def _keep_others(old: Path, fresh: Path, ours: Collection[str]) -> None:
    for entry in old.iterdir():
        if entry.name in ours:
            continue
        if entry.is_dir() and not entry.is_symlink():
            shutil.copytree(entry, fresh / entry.name, symlinks=True, copy_function=_link)
        else:
            _link(entry, fresh / entry.name)


def _link(source: str | Path, target: str | Path) -> None:
    # A second name for the same file costs nothing; where links are not possible, a copy.
    try:
        os.link(source, target, follow_symlinks=False)
    except (OSError, NotImplementedError):
        shutil.copy2(source, target, follow_symlinks=False)


def _host() -> str:
    return re.sub(r"[^A-Za-z0-9]", "_", socket.gethostname())[:40]


def _short_name(target: Path) -> str:
    """Gives a name of its own to what lies beside a folder, short enough to stand within a longer one."""
    encoded = os.fsencode(target.name)
    if len(encoded) <= _LONGEST:
        return target.name
    return encoded[:_LONGEST].decode(errors="ignore") + "-" + blake2b(encoded, digest_size=8).hexdigest()


def _side_name(target: Path, kind: str) -> str:
    return f".{_short_name(target)}.{_host()}-{os.getpid()}-{secrets.token_hex(4)}.{kind}"


def _side_folders(target: Path) -> Iterator[tuple[Path, str, int | None]]:
    """Finds the folders that saves of `target` have made: each with its kind, and its process if on this machine."""
    pattern = re.compile(rf"\.{re.escape(_short_name(target))}\.(\w*)-(\d+)-[0-9a-f]{{8}}\.(new|old)")
    if not target.parent.is_dir():
        return
    for entry in target.parent.iterdir():
        match = pattern.fullmatch(entry.name)
        if match and entry.is_dir() and not entry.is_symlink():
            yield entry, match[3], int(match[2]) if match[1] == _host() else None


def _remove_leftovers(target: Path) -> None:
    """Removes what killed saves have left, except an old folder that is the only one."""
    for entry, kind, process in _side_folders(target):
        if process is None or _alive(process):
            continue
        if kind == "old" and not target.exists():
            entry.rename(target)
        else:
            shutil.rmtree(entry, ignore_errors=True)


def _alive(process: int) -> bool:
    if os.name == "nt":  # os.kill would end the process there
        return True
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def _sync_parent(target: Path) -> None:
    if os.name == "nt":
        return
    descriptor = os.open(target.parent, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
