"""What serves nobody is chosen and removed; what is in use, foreign or elsewhere is not touched."""

import os
import subprocess
import sys
from contextlib import contextmanager

import numpy as np
import pytest
import torch

from quaterion.cache import EmbeddingStore
from quaterion.cache.maintenance import list_stores
from quaterion.cache.manifest import digest
from quaterion.cache.pruning import carry_out, plan_prune, plan_removal
from quaterion.cache.reading_index import ReadingIndex
from quaterion.cache.store_locks import StoreInUseError
from quaterion.dataset.reading import SampleReading
from quaterion.dataset.target_table import GroupTable

DAY = 86_400
NOW = 1000 * DAY
WRITER = """
import sys
import numpy as np
from quaterion.cache import EmbeddingStore
store = EmbeddingStore.open(sys.argv[1])
store.claim(np.ones((3, 16), np.uint8))
print("ready", flush=True)
sys.stdin.readline()
"""


def keys_of(numbers):
    return np.repeat(np.array(numbers, np.uint8)[:, None], 16, axis=1)


def made(root, name, days=0, numbers=(1,)):
    folder = root / name
    store = EmbeddingStore(fingerprint=name * 64, dimension=2, encoder="E", folder=folder)
    for number in numbers:
        store.add(keys_of([number]), np.ones((1, 2), np.float32))
        store.flush()
    os.utime(folder / "last-use", (NOW - days * DAY,) * 2)
    return folder


def reading(root, name, numbers):
    keys = {"default": keys_of(numbers)}
    lengths = {"default": np.ones(len(numbers), np.int64)}
    table, offsets = GroupTable(torch.arange(len(numbers))), torch.arange(len(numbers) + 1)
    ReadingIndex(root / "readings", [name]).save(SampleReading(table, offsets, keys, lengths))


def plan(root, **options):
    return plan_prune(root, list_stores(root), now=NOW, **options)


def removed(root, **options):
    return [(one.kind, one.path.name) for one in plan(root, **options).removals]


@contextmanager
def writer(folder):
    """A process that writes to a store, which was last used as long ago as before."""
    used = (folder / "last-use").stat().st_mtime
    process = subprocess.Popen(
        [sys.executable, "-c", WRITER, folder], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout.readline() == "ready\n"
        os.utime(folder / "last-use", (used, used))
        yield
    finally:
        process.kill()
        process.communicate()


def test_stores_are_chosen_by_their_last_use(tmp_path):
    for name, days in (("a", 40), ("b", 31), ("c", 29), ("d", 0)):
        made(tmp_path, name, days)
    assert removed(tmp_path) == []
    assert removed(tmp_path, older_than=30 * DAY) == [("store", "a"), ("store", "b")]
    assert removed(tmp_path, keep_last=3) == [("store", "a")]
    assert removed(tmp_path, keep_last=0) == [("store", name) for name in "abcd"]
    # Together: the last three stay however old they are, and of the others only the old ones go.
    assert removed(tmp_path, older_than=30 * DAY, keep_last=3) == [("store", "a")]
    assert removed(tmp_path, older_than=35 * DAY, keep_last=1) == [("store", "a")]
    (first,) = plan(tmp_path, keep_last=3).removals
    assert first.reason == "last used 40 days ago" and first.freed_bytes == first.store.disk_bytes > 0
    assert all((tmp_path / name).exists() for name in "abcd")


@pytest.mark.parametrize("option", ["older_than", "keep_last"])
def test_a_negative_number_is_refused(tmp_path, option):
    with pytest.raises(ValueError, match=rf"Got {option}=-1; expected 0 or more"):
        plan(tmp_path, **{option: -1})


def test_what_is_damaged_goes_only_when_it_is_asked_for(tmp_path, rewrite_as_newer):
    made(tmp_path, "a")
    (made(tmp_path, "b") / "manifest.json").write_text("{")
    (made(tmp_path, "c") / "manifest.json.damaged").write_bytes(bytes(7))
    (made(tmp_path, "d") / "part-4.keys").write_bytes(bytes(9))
    newer = made(tmp_path, "e") / "manifest.json"
    rewrite_as_newer(newer, 2)
    assert removed(tmp_path) == []
    found = plan(tmp_path, damaged=True).removals
    assert [(one.kind, one.path.name) for one in found] == [("store", "b"), ("leftovers", "c"), ("leftovers", "d")]
    assert [one.reason for one in found] == ["no whole manifest", "manifest.json.damaged", "unused bytes in part 4"]
    assert [one.freed_bytes for one in found[1:]] == [7, 9]
    assert [carry_out(one) for one in found] == [found[0].store.disk_bytes, 7, 9]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "c", "d", "e"]
    assert removed(tmp_path, damaged=True) == []
    assert len(EmbeddingStore.open(tmp_path / "d")) == 1


def test_a_newer_or_foreign_or_linked_store_stays_and_the_reason_is_told(tmp_path, rewrite_as_newer):
    newer = made(tmp_path, "a", 40) / "manifest.json"
    rewrite_as_newer(newer, 2)
    (made(tmp_path, "b", 40) / "notes.txt").touch()
    (tmp_path / f"{'c' * 32}-float32").symlink_to(made(tmp_path / "other", "c", 40))
    found = plan(tmp_path, older_than=DAY)
    assert found.removals == ()
    reasons = [one.reason for one in found.kept]
    assert "format_version 2" in reasons[0]
    assert reasons[1] == "it holds what no store makes (notes.txt); move that away first"
    assert reasons[2] == "it is a link, and links are not followed"


def test_what_a_process_writes_to_stays(tmp_path):
    folder = made(tmp_path, "a", 40)
    before = plan(tmp_path, older_than=DAY).removals
    named = plan_removal(list_stores(tmp_path))
    with writer(folder):
        found = plan(tmp_path, older_than=DAY, damaged=True)
        assert found.removals == () and [one.reason for one in found.kept] == ["a process is writing to it"]
        with pytest.raises(StoreInUseError, match=r"a is left as it is: a process is writing to it. Nothing was"):
            plan_removal(list_stores(tmp_path))
        for removal in (*before, *named):  # planned before the process began
            with pytest.raises(StoreInUseError, match="A process is writing to"):
                carry_out(removal)
    assert len(EmbeddingStore.open(folder)) == 1


def test_what_was_used_after_the_plan_was_made_stays(tmp_path, open_for_training):
    folder = made(tmp_path, "a", 40)
    (removal,) = plan(tmp_path, older_than=DAY).removals
    open_for_training(folder)
    with pytest.raises(StoreInUseError, match="was used since it was looked at"):
        carry_out(removal)
    assert len(EmbeddingStore.open(folder)) == 1


def test_a_named_store_goes_with_all_its_files_and_nothing_else(tmp_path):
    folder = made(tmp_path, "a")
    made(tmp_path, "b")
    (folder / "manifest.json.damaged").touch()
    (removal,) = plan_removal(list_stores(tmp_path)[:1])
    size = sum(path.stat().st_size for path in folder.iterdir())
    assert carry_out(removal) == size
    assert [path.name for path in tmp_path.iterdir()] == ["b"]
    assert carry_out(removal) == 0 and not folder.exists()  # as if another process had been faster


@pytest.mark.parametrize("foreign", ["notes.txt", "sub", "link"])
def test_a_store_with_anything_foreign_in_it_is_not_removed_not_even_in_part(tmp_path, foreign):
    folder, outside = made(tmp_path / "root", "a"), tmp_path / "outside"
    outside.mkdir()
    (outside / "precious").touch()
    (planned,) = plan_removal(list_stores(tmp_path / "root"))
    if foreign == "link":
        (folder / "part-9.keys").symlink_to(outside / "precious")
    else:
        (folder / foreign).mkdir() if foreign == "sub" else (folder / foreign).touch()
    before = sorted(folder.iterdir())
    with pytest.raises(ValueError, match="it holds what no store makes"):
        plan_removal(list_stores(tmp_path / "root"))
    with pytest.raises(StoreInUseError, match="it holds what no store makes"):
        carry_out(planned)
    assert sorted(folder.iterdir()) == before and (outside / "precious").exists()


def test_a_link_to_a_store_is_neither_followed_nor_removed(tmp_path):
    (tmp_path / "root").mkdir()
    folder = made(tmp_path / "root", "a")
    (planned,) = plan_removal(list_stores(tmp_path / "root"))
    folder.rename(tmp_path / "elsewhere")
    folder.symlink_to(tmp_path / "elsewhere")
    assert carry_out(planned) == 0
    folder.rename(tmp_path / "root" / f"{'a' * 32}-float32")
    with pytest.raises(ValueError, match="it is a link, and links are not followed"):
        plan_removal(list_stores(tmp_path / "root"))
    assert len(EmbeddingStore.open(tmp_path / "elsewhere")) == 1


def test_a_reading_goes_when_no_store_that_stays_has_any_of_its_objects(tmp_path):
    made(tmp_path, "a", 40, numbers=[1, 2])
    made(tmp_path, "b", 0, numbers=[3])
    for name, numbers in (("old", [2, 9]), ("new", [9, 3]), ("gone", [8, 9])):
        reading(tmp_path, name, numbers)
    gone, old = (ReadingIndex(tmp_path / "readings", [name])._file.name for name in ("gone", "old"))
    assert removed(tmp_path) == [("reading", gone)]
    found = plan(tmp_path, older_than=DAY).removals
    assert {one.path.name for one in found} == {"a", gone, old}
    assert found[1].reason == "no store has vectors of its objects"
    for one in found:
        size = one.freed_bytes
        assert carry_out(one) == size
    assert ReadingIndex(tmp_path / "readings", ["new"]).load() is not None
    assert ReadingIndex(tmp_path / "readings", ["old"]).load() is None


def test_a_damaged_reading_goes_and_an_unknown_one_stays(tmp_path):
    made(tmp_path, "a")
    reading(tmp_path, "x", [1])
    reading(tmp_path, "y", [1])
    file = ReadingIndex(tmp_path / "readings", ["x"])._file
    file.write_bytes(file.read_bytes()[:-1])
    (tmp_path / "readings" / "z.reading").write_bytes(digest(b"newer").encode() + b"\nnewer")
    assert removed(tmp_path) == [("reading", file.name)]


def test_readings_stay_while_a_store_is_being_filled_or_cannot_be_read(tmp_path, rewrite_as_newer):
    reading(tmp_path, "x", [9])
    folder = made(tmp_path, "a")
    assert len(removed(tmp_path)) == 1
    with writer(folder):
        assert removed(tmp_path) == []
    newer = folder / "manifest.json"
    rewrite_as_newer(newer, 2)
    assert removed(tmp_path) == []
