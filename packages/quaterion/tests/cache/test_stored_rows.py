"""Rows that came in many shards: as few runs, with the numbers that they had."""

import numpy as np
import pytest
import torch

from quaterion.cache.manifest import Manifest, read_manifest
from quaterion.cache.stored_rows import StoredRows

from .stores import filled, keys_of, vectors_of

ABOUT = Manifest(fingerprint="f0", encoder="E", dimension=3, dtype="float32")


def in_memory():
    rows = StoredRows(ABOUT)
    for n in range(100):
        rows.add_arrays(keys_of([n]), vectors_of([n]))
    return rows


def in_a_file(folder):
    filled(folder, *([n] for n in range(100)))
    rows = StoredRows(ABOUT)
    for shard in read_manifest(folder).shards:
        rows.add_shard(folder, shard)
    return rows


@pytest.mark.parametrize(("on_disk", "runs"), [(False, [64, 32, 4]), (True, [100])])
def test_many_shards_lie_in_few_long_runs(tmp_path, on_disk, runs):
    rows = in_a_file(tmp_path) if on_disk else in_memory()
    assert [len(segment.keys) for segment in rows.segments] == runs  # the powers of 2 in 100, or one file
    assert len(rows) == 100 and np.array_equal(rows.vectors, vectors_of(range(100)))
    found = rows.find(keys_of([99, 0, 64, 63, 101]))
    assert found.tolist() == [99, 0, 64, 63, -1]
    assert torch.equal(rows.take(found[:4]), torch.from_numpy(vectors_of([99, 0, 64, 63])))


def test_runs_that_are_joined_are_one_tensor_that_is_not_copied():
    rows = in_memory()
    assert rows.tensor is None
    rows.join()
    assert torch.equal(rows.tensor, torch.from_numpy(vectors_of(range(100))))
    assert rows.tensor.data_ptr() == rows.vectors.ctypes.data
    assert rows.find(keys_of([99, 3])).tolist() == [99, 3]
