"""Stores are listed as they lie on the disk, whatever state they are in."""

import os

import numpy as np
import pytest

from quaterion.cache import EmbeddingStore, maintenance, reading_index
from quaterion.cache.maintenance import find_store, list_stores, reading_files

ONE, TWO = "1f3a8c21" * 4, "1f3a8c21" + "0" * 24


def made(root, fingerprint=ONE, dtype="float32", rows=2, dimension=3):
    store = EmbeddingStore(
        fingerprint=fingerprint * 2,
        dimension=dimension,
        encoder="Letters",
        dtype=dtype,
        folder=root / f"{fingerprint}-{dtype}",
    )
    for number in range(rows):  # a shard for each row
        keys = np.full((1, 16), number, np.uint8)
        store.add(keys, np.full((1, dimension), number, np.float32))
        store.flush()
    return store.folder


def only(root):
    (store,) = list_stores(root)
    return store


def test_a_store_is_listed_with_its_rows_bytes_and_last_use(tmp_path):
    folder = made(tmp_path)
    os.utime(folder / "last-use", (1000, 1000))
    store = only(tmp_path)
    assert (store.folder, store.short_name, store.state, store.problem) == (folder, "1f3a8c21", "ok", "")
    assert (store.manifest.rows, store.manifest.encoder, store.last_use) == (2, "Letters", 1000)
    assert store.disk_bytes == sum(path.stat().st_size for path in folder.iterdir())
    assert (store.writing, store.leftovers, store.foreign, store.unused_bytes) == (False, (), (), 0)
    (part,) = store.parts
    assert (part.number, part.rows, len(part.shards)) == (0, 2, 2)
    assert part.counted_bytes == part.disk_bytes == 2 * (16 + 3 * 4)
    (folder / "last-use").unlink()
    os.utime(folder / "manifest.json", (2000, 2000))
    assert only(tmp_path).last_use == 2000


def test_the_ending_of_files_is_that_which_the_readings_use():
    assert reading_index.ENDING == maintenance.READING_ENDING


def test_a_hole_that_a_damaged_shard_left_is_unused_and_so_is_what_a_dead_writer_began(tmp_path, open_for_training):
    folder = made(tmp_path, rows=3, dimension=4096)
    with (folder / "part-0.vectors").open("r+b") as stream:
        stream.seek(4096 * 4)
        stream.write(b"x")
    open_for_training(folder)  # sets the row aside
    assert only(tmp_path).unused_bytes == 4096 * 4  # its key shares a block with others
    with (folder / "part-0.keys").open("ab") as stream:
        stream.write(bytes(5))
    (folder / "part-7.keys").write_bytes(bytes(16))
    store = only(tmp_path)
    assert [(part.number, part.unused_bytes) for part in store.parts] == [(0, 4096 * 4 + 5), (7, 16)]


def test_claims_and_locks_of_a_live_writer_are_told_and_those_of_a_dead_one_are_leftovers(tmp_path):
    folder = made(tmp_path)
    writer = EmbeddingStore.open(folder)
    writer.claim(np.full((3, 16), 9, np.uint8))
    store = only(tmp_path)
    assert store.writing is True and store.leftovers == ()
    assert [(part.number, part.writing, part.claimed) for part in store.parts] == [(0, True, 3)]
    writer.flush()
    (folder / "part-0.claim").write_bytes(bytes(32))
    (folder / "manifest.json.tmp").touch()
    (folder / "manifest.json.damaged").touch()
    store = only(tmp_path)
    assert store.writing is False and store.parts[0].claimed == 0
    assert [path.name for path in store.leftovers] == ["manifest.json.damaged", "manifest.json.tmp", "part-0.claim"]


@pytest.mark.parametrize(
    ("change", "state", "problem"),
    [
        (lambda file: file.write_text("{"), "damaged", r"manifest.json is damaged"),
        (lambda file: file.unlink(), "damaged", "manifest.json is missing"),
        (
            None,
            "newer",
            "format_version 9; this version of quaterion reads up to 1",
        ),
    ],
)
def test_a_store_that_cannot_be_read_says_why(tmp_path, rewrite_as_newer, change, state, problem):
    folder = made(tmp_path)
    change = change or (lambda file: rewrite_as_newer(file, 9))
    change(folder / "manifest.json")
    store = only(tmp_path)
    assert store.state == state and problem in store.problem and "Update" not in store.problem
    assert store.manifest is None and store.parts == () and store.disk_bytes > 0


def test_a_link_is_listed_and_not_followed(tmp_path):
    (tmp_path / "root").mkdir()
    made(tmp_path / "elsewhere")
    (tmp_path / "root" / f"{ONE}-float32").symlink_to(tmp_path / "elsewhere" / f"{ONE}-float32")
    store = only(tmp_path / "root")
    assert (store.state, store.manifest, store.disk_bytes) == ("link", None, 0)
    assert "is a link, which is not followed" in store.problem


def test_what_no_store_makes_is_foreign_and_other_folders_are_no_stores(tmp_path):
    folder = made(tmp_path)
    (folder / "notes.txt").touch()
    (folder / "sub").mkdir()
    (folder / "part-1.keys").symlink_to("/etc/hostname")
    (tmp_path / "plots").mkdir()
    (tmp_path / "plots" / "a.png").touch()
    (tmp_path / "readme").touch()
    store = only(tmp_path)
    assert {path.name for path in store.foreign} == {"notes.txt", "sub", "part-1.keys"}


def test_short_names_grow_until_they_tell_stores_apart(tmp_path):
    for fingerprint, dtype in ((ONE, "float32"), (ONE, "float16"), (TWO, "float32"), ("ab" * 16, "float32")):
        made(tmp_path, fingerprint, dtype)
    (tmp_path / f"{TWO}-float32").rename(tmp_path / "mine")
    stores = list_stores(tmp_path)
    assert [store.short_name for store in stores] == ["1f3a8c21-float16", "1f3a8c21-float32", "abababab", "mine"]
    made(tmp_path, TWO)
    stores = list_stores(tmp_path)
    assert [store.short_name for store in stores][:2] == ["1f3a8c210", "1f3a8c21-float16"]
    for store in stores:
        assert find_store(stores, store.short_name) is store
        assert find_store(stores, store.folder.name) is store


def test_a_whole_name_means_its_store_even_where_others_begin_with_it(tmp_path):
    made(tmp_path).rename(tmp_path / "a")
    made(tmp_path).rename(tmp_path / "ab")
    assert find_store(list_stores(tmp_path), "a").folder.name == "a"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("x", "Got the store 'x'; expected a name, or the beginning of one, among: 1f3a8c21-float16, 1f3a8c21-float32"),
        ("", "Got the store ''"),
        ("1f3a", "'1f3a' is the beginning of 2 names; expected one of: 1f3a8c21-float16, 1f3a8c21-float32"),
    ],
)
def test_a_name_of_no_store_or_of_several_is_refused(tmp_path, name, message):
    made(tmp_path)
    made(tmp_path, dtype="float16")
    with pytest.raises(ValueError, match=message):
        find_store(list_stores(tmp_path), name)


def test_a_folder_that_is_not_there_or_is_a_store_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no folder .*nowhere; expected the one that a training got"):
        list_stores(tmp_path / "nowhere")
    folder = made(tmp_path)
    with pytest.raises(ValueError, match=rf"is a single store; expected the folder around it, {tmp_path}"):
        list_stores(folder)


def test_readings_are_files_of_the_folder_readings_and_no_links(tmp_path):
    assert reading_files(tmp_path) == ()
    (tmp_path / "readings").mkdir()
    for name in ("b.reading", "a.reading", "a.reading.tmp", ".lock"):
        (tmp_path / "readings" / name).touch()
    (tmp_path / "readings" / "c.reading").symlink_to(tmp_path / "readings" / "a.reading")
    assert [file.name for file in reading_files(tmp_path)] == ["a.reading", "b.reading"]
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "readings").symlink_to(tmp_path / "readings")
    assert reading_files(tmp_path / "other") == ()
