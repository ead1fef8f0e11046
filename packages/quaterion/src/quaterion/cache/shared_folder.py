"""A folder that all processes of a training write to."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from tempfile import TemporaryDirectory

from filelock import FileLock, Timeout

from quaterion.utils.ranks import Ranks

__all__ = ["check_shared", "shared_temporary_folder"]


@contextmanager
def shared_temporary_folder(ranks: Ranks) -> Iterator[Path]:
    """A folder for the processes of one machine, which is gone when all of them have left.

    Args:
        ranks: The processes; all of them have to call this.

    Yields:
        The folder.

    Raises:
        ValueError: They run on several machines.
    """
    with TemporaryDirectory(prefix="quaterion-") if ranks.rank == 0 else nullcontext("") as own:
        folder = Path(ranks.broadcast(own))
        check_shared(folder, ranks)
        yield folder
        ranks.gather(None)  # nobody removes what another one still reads


def check_shared(folder: Path, ranks: Ranks) -> None:
    """Refuses a folder that is not the same for all processes, or whose locks do not reach from one to the other.

    Args:
        folder: The folder.
        ranks: The processes; all of them have to call this.

    Raises:
        ValueError: A process cannot see the first one's lock in the folder.
    """
    lock = FileLock(folder / "ranks.lock", thread_local=False)
    if ranks.rank == 0:
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    ranks.gather(None)
    seen = ranks.gather(ranks.rank == 0 or _is_held(lock))
    if ranks.rank == 0:
        lock.release()
    if not all(seen):
        raise ValueError(
            f"The processes {[rank for rank, one in enumerate(seen) if not one]} do not share the folder {folder} with "
            "process 0, or its locks do not reach them, so they cannot fill the cache together. Expected "
            "CacheConfig(save_dir=...) with a folder that all machines see and whose file system locks files across "
            "them."
        )


def _is_held(lock: FileLock) -> bool:
    if not Path(lock.lock_file).exists():
        return False
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return True
    lock.release()
    return False
