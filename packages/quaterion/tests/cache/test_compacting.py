"""Disk space that no shard names is given back, and no vector that counts is lost, moved or changed."""

import errno
import os

import numpy as np
import pytest

from quaterion.cache import EmbeddingStore
from quaterion.cache.compacting import compact_part, data_bytes, unused_bytes
from quaterion.cache.manifest import read_manifest
from quaterion.cache.parts import Part
from quaterion.cache.store_check import check_store

DIMENSION = 4096
ROW = DIMENSION * 4  # bytes of a vector: four blocks of the file system


def keys_of(numbers):
    return np.repeat(np.array(numbers, np.uint8)[:, None], 16, axis=1)


def vectors_of(numbers):
    return np.repeat(np.array(numbers, np.float32)[:, None], DIMENSION, axis=1)


def add(folder, *shards):
    store = EmbeddingStore(fingerprint="f" * 64, dimension=DIMENSION, encoder="E", folder=folder)
    for numbers in shards:
        store.add(keys_of(numbers), vectors_of(numbers))
        store.flush()
    return folder


def with_hole(folder):
    """Rows 1, 2, (3, 4), 5 in one part, of which those in brackets were damaged and set aside."""
    add(folder, [1, 2], [3, 4], [5])
    with (folder / "part-0.vectors").open("r+b") as stream:
        stream.seek(2 * ROW)
        stream.write(b"x")
    return add(folder)  # as training opens it


def part_of(folder):
    manifest = read_manifest(folder)
    return Part(folder, 0, DIMENSION, "float32"), sorted(manifest.shards)


def assert_holds(folder, numbers):
    store = EmbeddingStore.open(folder)
    assert len(store) == len(numbers)
    assert np.array_equal(store.take(store.rows(keys_of(numbers))).numpy(), vectors_of(numbers))
    assert check_store(folder, read_manifest(folder)) == ()


def test_a_hole_gives_its_space_back_and_every_row_stays_where_it_was(tmp_path):
    folder = with_hole(tmp_path / "s")
    manifest = (folder / "manifest.json").read_bytes()
    assert unused_bytes(*part_of(folder)) == 2 * ROW
    assert compact_part(*part_of(folder)) == 2 * ROW
    file = folder / "part-0.vectors"
    assert file.stat().st_size == 5 * ROW and data_bytes(file) == 3 * ROW and file.stat().st_blocks * 512 < 4 * ROW
    assert (folder / "manifest.json").read_bytes() == manifest
    assert_holds(folder, [1, 2, 5])
    assert unused_bytes(*part_of(folder)) == compact_part(*part_of(folder)) == 0
    add(folder, [6])
    assert_holds(folder, [6, 5, 2, 1])
    assert not list(folder.glob("*.tmp"))


def test_who_has_the_store_open_meanwhile_finds_its_vectors_mapped_before_or_after(tmp_path):
    folder = with_hole(tmp_path / "s")
    early, late = EmbeddingStore.open(folder), EmbeddingStore.open(folder)
    mapped = early.vectors
    compact_part(*part_of(folder))
    add(folder, [7, 8, 9])
    assert np.array_equal(mapped, vectors_of([1, 2, 5]))
    for store in (early, late):
        assert np.array_equal(store.take(store.rows(keys_of([5, 1]))).numpy(), vectors_of([5, 1]))
        store.refresh()
        assert np.array_equal(store.take(store.rows(keys_of([9, 5]))).numpy(), vectors_of([9, 5]))


def test_what_lies_behind_the_last_row_is_cut_off_in_place(tmp_path):
    folder = add(tmp_path / "s", [1, 2])
    file = folder / "part-0.vectors"
    with file.open("ab") as stream:
        stream.write(bytes(500))
    before = file.stat().st_ino
    assert unused_bytes(*part_of(folder)) == compact_part(*part_of(folder)) == 500
    assert file.stat().st_ino == before
    assert_holds(folder, [1, 2])


def test_files_of_a_part_without_rows_are_removed(tmp_path):
    folder = add(tmp_path / "s", [1])
    part = Part(folder, 3, DIMENSION, "float32")
    part.keys_file.write_bytes(bytes(48))
    assert unused_bytes(part, []) == compact_part(part, []) == 48
    assert not part.keys_file.exists()
    assert_holds(folder, [1])


def test_rows_that_are_damaged_now_stay_as_they_are_and_are_found_damaged(tmp_path):
    folder = with_hole(tmp_path / "s")
    file = folder / "part-0.vectors"
    with file.open("r+b") as stream:
        stream.write(b"x")
        stream.truncate(4 * ROW + 8)  # the last row, too, ends early
    damaged = check_store(folder, read_manifest(folder))
    assert len(damaged) == 2
    compact_part(*part_of(folder))
    assert file.stat().st_size == 4 * ROW + 8
    assert check_store(folder, read_manifest(folder)) == damaged


def test_a_full_disk_leaves_the_part_as_it_was(tmp_path, monkeypatch):
    folder = with_hole(tmp_path / "s")
    before = {path: path.read_bytes() for path in folder.iterdir()}

    def fail(_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match=r"without its holes: No space left.*stays as it was. Free 0.0 MiB and try again"):
        compact_part(*part_of(folder))
    assert {path: path.read_bytes() for path in folder.iterdir()} == before


def test_bytes_are_counted_between_two_places_and_a_missing_file_has_none(tmp_path):
    file = tmp_path / "f"
    assert data_bytes(file) == 0
    with file.open("wb") as stream:
        stream.write(bytes(8192))
        stream.seek(2**20)
        stream.write(bytes(4096))
        stream.truncate(2**21)
    assert data_bytes(file) == 8192 + 4096
    assert data_bytes(file, 100, 5000) == 4900
    assert data_bytes(file, 8192, 2**20) == 0
    assert data_bytes(file, 2**20 + 4096) == 0
    assert data_bytes(file, 2**22) == 0
