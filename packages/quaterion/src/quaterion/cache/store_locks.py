"""Who works on a store's folder, and keeping others out of it for a while."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

__all__ = ["StoreInUseError", "held_parts", "sole_use", "try_lock"]

FOLDER_LOCK = ".lock"
LOCK_SECONDS = 2.0


class StoreInUseError(RuntimeError):
    """A store is left alone because a process writes to it, or may."""


def held_parts(folder: Path) -> frozenset[int] | None:
    """Parts that live processes write to.

    Args:
        folder: The store's folder.

    Returns:
        Their numbers; None where that cannot be told, as in a folder that this user must not write.
    """
    if not _locks_of_parts(folder) or not (folder / FOLDER_LOCK).exists():
        return frozenset()  # nobody ever wrote here, and looking shall leave no file behind
    try:
        # Under the folder's lock nobody takes a part, so a part that is looked at is never mistaken for a taken one.
        with try_lock(folder / FOLDER_LOCK, seconds=LOCK_SECONDS) as quiet:
            return _held(folder) if quiet else None
    except OSError:
        return None


@contextmanager
def sole_use(folder: Path) -> Iterator[None]:
    """Keeps all writers out of a store; a process that opens the store meanwhile waits.

    Args:
        folder: The store's folder.

    Raises:
        StoreInUseError: A live process writes to the store.
        OSError: The folder cannot be written.
    """
    with try_lock(folder / FOLDER_LOCK, seconds=LOCK_SECONDS) as quiet:
        # A writer takes its part under the folder's lock, so none can begin after this.
        if not quiet or _held(folder):
            raise StoreInUseError(f"A process is writing to {folder}; it is left as it is. Try again when it is done.")
        yield


@contextmanager
def try_lock(file: Path, *, seconds: float = 0.0) -> Iterator[bool]:
    """Holds a lock if it is free.

    Args:
        file: The lock's file.
        seconds: How long to wait for it.

    Yields:
        Whether it is held now.

    Raises:
        OSError: The file cannot be written.
    """
    lock = FileLock(file)
    try:
        lock.acquire(timeout=seconds)
    except Timeout:
        yield False
        return
    try:
        yield True
    finally:
        lock.release()


def _held(folder: Path) -> frozenset[int]:
    held = set()
    for number, file in _locks_of_parts(folder).items():
        with try_lock(file) as free:
            if not free:
                held.add(number)
    return frozenset(held)


def _locks_of_parts(folder: Path) -> dict[int, Path]:
    numbers = {file: file.stem.removeprefix("part-") for file in folder.glob("part-*.lock")}
    return {int(number): file for file, number in numbers.items() if number.isdecimal()}
