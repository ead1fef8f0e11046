"""The store: what is written is found again, by this process and by others."""

import json
import subprocess
import sys

import numpy as np
import pytest
import torch

from quaterion.cache import EmbeddingStore
from quaterion.cache import embedding_store as module
from quaterion_models.content_key import content_key

from .stores import damaged, filled, keys_of, new_store, vectors_of


@pytest.mark.parametrize("on_disk", [False, True])
def test_vectors_come_back_by_key_in_any_order_and_any_number(tmp_path, on_disk):
    store = filled(tmp_path / "s" if on_disk else None, [5, 1], [9], [2, 7, 3])
    assert len(store) == 6
    wanted = [3, 3, 9, 5, 2]
    rows = store.rows(keys_of(wanted))
    assert torch.equal(store.take(rows), torch.from_numpy(vectors_of(wanted)))
    assert store.rows(keys_of([4, 5])).tolist() == [-1, 0]
    assert np.array_equal(store.vectors, vectors_of([5, 1, 9, 2, 7, 3]))


def test_another_process_finds_what_was_written(tmp_path):
    filled(tmp_path / "s", [1, 2], [3])
    code = "import sys; from quaterion.cache import EmbeddingStore as E; print(E.open(sys.argv[1]).vectors.tolist())"
    run = subprocess.run([sys.executable, "-c", code, tmp_path / "s"], capture_output=True, check=True)
    assert json.loads(run.stdout) == vectors_of([1, 2, 3]).tolist()


def test_an_open_shard_is_not_found_until_it_is_closed_and_closes_by_itself_when_full(tmp_path, monkeypatch):
    store = new_store(tmp_path / "s")
    store.add(keys_of([1]), vectors_of([1]))
    assert store.rows(keys_of([1])).tolist() == [-1]
    monkeypatch.setattr(module, "SHARD_ROWS", 3)
    store.add(keys_of([2, 3]), vectors_of([2, 3]))
    assert store.rows(keys_of([1, 2, 3])).tolist() == [0, 1, 2]


def test_float16_halves_the_bytes_and_keeps_half_precision(tmp_path):
    store = new_store(tmp_path / "s", dtype="float16")
    store.add(keys_of([1, 2]), vectors_of([1, 2]))
    store.flush()
    again = EmbeddingStore.open(tmp_path / "s")
    assert again.dtype == torch.float16 and again.vectors.nbytes == 2 * 3 * 2
    assert np.array_equal(again.vectors, vectors_of([1, 2]).astype(np.float16))


def test_one_file_is_enough_for_writers_that_follow_each_other(tmp_path):
    for number in range(5):
        filled(tmp_path / "s", [number])
    assert len(list((tmp_path / "s").glob("part-*.keys"))) == 1
    vectors = EmbeddingStore.open(tmp_path / "s").vectors
    assert np.array_equal(vectors, vectors_of(range(5)))
    assert vectors.base is not None and not vectors.flags.writeable  # mapped, not copied
    with pytest.raises(ValueError, match="read-only"):
        vectors[0] = 0


def test_rows_keep_their_numbers_while_others_write(tmp_path):
    first, second = new_store(tmp_path / "s"), new_store(tmp_path / "s")
    first.claim(keys_of([1, 2]))
    second.claim(keys_of([3]))
    for store, part in ((first, [1]), (second, [3])):
        store.add(keys_of(part), vectors_of(part))
    second.flush()
    first.flush()
    rows = first.rows(keys_of([1]))
    first.refresh()
    first.add(keys_of([2]), vectors_of([2]))
    first.flush()
    assert torch.equal(first.take(rows), torch.from_numpy(vectors_of([1])))
    for store in (first, new_store(tmp_path / "s")):
        assert torch.equal(store.take(store.rows(keys_of([2, 3, 1, 3]))), torch.from_numpy(vectors_of([2, 3, 1, 3])))
        assert np.array_equal(store.vectors[store.rows(keys_of([2, 3]))], vectors_of([2, 3]))


def test_vectors_computed_elsewhere_make_a_store(tmp_path):
    texts, table = ["a", "b", "a"], [[1.0, 2.0], [3.0, 4.0], [1.0, 2.0]]
    for folder in (None, tmp_path / "s"):
        store = EmbeddingStore.from_vectors(texts, table, folder=folder)
        assert store.vectors_of(["b", "a"]).tolist() == [[3.0, 4.0], [1.0, 2.0]]
        keys = np.frombuffer(b"".join(map(content_key, texts)), np.uint8).reshape(-1, 16)
        assert EmbeddingStore.from_vectors(keys, torch.tensor(table)).vectors_of(["b"]).tolist() == [[3.0, 4.0]]
        with pytest.raises(KeyError, match="lacks 2 of 3 objects, the first at 1"):
            store.vectors_of(["a", "x", "y"])
    EmbeddingStore.from_vectors(["c"], [[5.0, 6.0]], folder=tmp_path / "s")
    assert EmbeddingStore.open(tmp_path / "s").vectors_of(["c", "b"]).tolist() == [[5.0, 6.0], [3.0, 4.0]]


def test_opening_a_store_changes_nothing_in_its_folder(tmp_path, caplog):
    folder = tmp_path / "s"
    filled(folder, [1, 2], [3, 4])
    (folder / "part-0.keys").with_name("manifest.json.tmp").write_text("left over")
    damaged(folder / "part-0.vectors", "flip")
    before = {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in folder.iterdir()}
    store = EmbeddingStore.open(folder)
    assert {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in folder.iterdir()} == before
    assert "These 2 vectors are left out" in caplog.text
    assert (store.rows(keys_of([1, 2, 3])) >= 0).tolist() == [True, True, False]
    caplog.clear()
    store.refresh()
    assert not caplog.text and len(store) == 2


def test_an_opened_store_can_be_added_to_and_is_mended_then(tmp_path):
    folder = tmp_path / "s"
    filled(folder, [1, 2], [3, 4])
    damaged(folder / "part-0.vectors", "flip")
    store = EmbeddingStore.open(folder)
    assert store.claim(keys_of([3, 4])).all()
    store.add(keys_of([3, 4]), vectors_of([3, 4]))
    store.flush()
    for one in (store, new_store(folder)):
        assert torch.equal(one.take(one.rows(keys_of([1, 2, 3, 4]))), torch.from_numpy(vectors_of([1, 2, 3, 4])))


def test_token_states_are_not_taken_for_vectors_of_objects():
    store = EmbeddingStore(fingerprint="f0", dimension=2, kind="token")
    store.add(np.zeros((3, 16), dtype=np.uint8), np.ones((3, 2), dtype=np.float32))
    store.flush()
    with pytest.raises(ValueError, match=r"holds token states, several rows for each object.*counts\(rows\)"):
        store.vectors_of(["a"])
