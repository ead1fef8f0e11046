"""Damage is found in every file, named by its rows, and changed by nobody."""

import numpy as np
import pytest

from quaterion.cache import EmbeddingStore
from quaterion.cache.manifest import read_manifest
from quaterion.cache.store_check import check_store


def made(folder, shards=4, rows=2, dimension=3):
    store = EmbeddingStore(fingerprint="f" * 64, dimension=dimension, encoder="E", folder=folder)
    for number in range(shards):
        keys = np.zeros((rows, 16), np.uint8)
        keys[:, 0], keys[:, 1] = number, np.arange(rows) % 256
        store.add(keys, np.full((rows, dimension), number, np.float32))
        store.flush()
    return folder


def flip(file, offset):
    content = bytearray(file.read_bytes())
    content[offset] ^= 1
    file.write_bytes(content)


def test_a_whole_store_has_no_damage_and_every_row_is_counted(tmp_path):
    counts = []
    folder = made(tmp_path / "s")
    assert check_store(folder, read_manifest(folder), counts.append) == ()
    assert counts == [2, 2, 2, 2]


def test_damaged_rows_are_named_in_both_files_and_joined_where_they_lie_side_by_side(tmp_path):
    folder = made(tmp_path / "s")
    flip(folder / "part-0.keys", 2 * 16)  # row 2, in the second shard of two rows
    for row in (2, 4):  # second and third shard
        flip(folder / "part-0.vectors", row * 12)
    before = {path: path.read_bytes() for path in folder.iterdir()}
    keys, vectors = check_store(folder, read_manifest(folder))
    assert (keys.file.name, keys.start, keys.rows) == ("part-0.keys", 2, 2)
    assert (vectors.file.name, vectors.start, vectors.rows) == ("part-0.vectors", 2, 4)
    assert keys.problem == vectors.problem == "they are not what was written"
    assert {path: path.read_bytes() for path in folder.iterdir()} == before


def test_rows_of_two_shards_with_a_whole_one_between_are_not_joined(tmp_path):
    folder = made(tmp_path / "s")
    for row in (0, 4):
        flip(folder / "part-0.vectors", row * 12)
    assert [(one.start, one.rows) for one in check_store(folder, read_manifest(folder))] == [(0, 2), (4, 2)]


@pytest.mark.parametrize("ending", ["keys", "vectors"])
def test_a_file_that_is_gone_or_too_short_is_damage(tmp_path, ending):
    folder = made(tmp_path / "s")
    manifest, file = read_manifest(folder), folder / f"part-0.{ending}"
    file.write_bytes(file.read_bytes()[:-1])
    (short,) = check_store(folder, manifest)
    assert (short.file, short.start, short.rows, short.problem) == (file, 6, 2, "the file ends before their end")
    file.unlink()
    (missing,) = check_store(folder, manifest)
    assert (missing.start, missing.rows, missing.problem) == (0, 8, "the file is missing")


def test_a_shard_larger_than_one_piece_is_read_to_its_end(tmp_path):
    folder = made(tmp_path / "s", shards=1, rows=600, dimension=512)  # 1.2 MB, in pieces of 1 MiB
    assert check_store(folder, read_manifest(folder)) == ()
    flip(folder / "part-0.vectors", 600 * 512 * 4 - 1)
    assert len(check_store(folder, read_manifest(folder))) == 1


def test_what_a_training_has_set_aside_since_is_no_damage(tmp_path, open_for_training):
    folder = made(tmp_path / "s")
    before = read_manifest(folder)
    flip(folder / "part-0.vectors", 0)
    assert len(check_store(folder, before)) == 1
    open_for_training(folder)  # sets the shard aside
    assert check_store(folder, before) == ()
