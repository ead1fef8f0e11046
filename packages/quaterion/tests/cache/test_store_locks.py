"""Who writes to a store is found out by its locks, with real processes."""

import subprocess
import sys
import textwrap
from contextlib import contextmanager

import pytest
from filelock import FileLock

from quaterion.cache import EmbeddingStore, store_locks
from quaterion.cache.store_locks import StoreInUseError, held_parts, sole_use, try_lock

WRITER = textwrap.dedent("""
    import sys
    import numpy as np
    from quaterion.cache import EmbeddingStore
    store = EmbeddingStore.open(sys.argv[1])
    store.claim(np.ones((3, 16), np.uint8))
    print("ready", flush=True)
    sys.stdin.readline()
""")


@contextmanager
def writer(folder):
    process = subprocess.Popen(
        [sys.executable, "-c", WRITER, folder], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout.readline() == "ready\n"
        yield process
    finally:
        process.kill()
        process.communicate()


def made(folder):
    EmbeddingStore.from_vectors(["a"], [[1.0, 2.0]], folder=folder)
    return folder


def test_a_part_is_held_while_its_writer_lives_and_no_longer(tmp_path):
    folder = made(tmp_path / "s")
    assert held_parts(folder) == frozenset()
    with writer(folder):
        assert held_parts(folder) == {0}
        with writer(folder):
            assert held_parts(folder) == {0, 1}
    assert held_parts(folder) == frozenset()


def test_sole_use_is_refused_while_a_process_writes_and_keeps_others_waiting(tmp_path):
    folder = made(tmp_path / "s")
    with (
        writer(folder),
        pytest.raises(StoreInUseError, match=r"A process is writing to .*s; it is left.*Try again"),
        sole_use(folder),
    ):
        pass
    with sole_use(folder), try_lock(folder / ".lock") as free:
        assert not free
    with try_lock(folder / ".lock") as free:
        assert free


def test_a_folder_that_is_busy_cannot_be_told_and_is_no_ones_alone(tmp_path, monkeypatch):
    monkeypatch.setattr(store_locks, "LOCK_SECONDS", 0.0)
    folder = made(tmp_path / "s")
    with FileLock(folder / ".lock"):
        assert held_parts(folder) is None
        with pytest.raises(StoreInUseError), sole_use(folder):
            pass


def test_looking_leaves_no_file_behind(tmp_path):
    folder = made(tmp_path / "s")
    for name in (".lock", "part-0.lock"):
        (folder / name).unlink()
    before = sorted(folder.iterdir())
    assert held_parts(folder) == frozenset()
    (folder / "part-0.lock").touch()
    assert held_parts(folder) == frozenset()
    assert sorted(folder.iterdir()) == sorted([*before, folder / "part-0.lock"])


def test_a_lock_that_was_had_is_given_back_after_an_error(tmp_path):
    with pytest.raises(KeyError), try_lock(tmp_path / "l"):
        raise KeyError
    with try_lock(tmp_path / "l") as free:
        assert free
