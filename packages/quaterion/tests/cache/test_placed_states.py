import numpy as np
import pytest
import torch

from quaterion.cache.embedding_store import EmbeddingStore
from quaterion.cache.key_runs import KeyRuns
from quaterion.cache.placed_states import PlacedStates
from quaterion.cache.placement import Placement

COUNTS = np.array([3, 1, 4, 2, 5])
KEYS = np.random.default_rng(0).integers(0, 256, (5, 16), dtype=np.uint8)
STATES = np.arange(COUNTS.sum() * 2, dtype=np.float32).reshape(-1, 2)
STARTS = np.cumsum(COUNTS) - COUNTS
PLACEMENTS = {"memory": (None, False), "copied": ("folder", False), "mapped": ("folder", True)}


def make_store(folder=None, *, together=(2, 3)):
    """The objects are added in calls of 2 and of 3."""
    store = EmbeddingStore(fingerprint="f0", dimension=2, kind="token", folder=folder)
    first = 0
    for size in together:
        part = slice(first, first + size)
        rows = slice(STARTS[first], STARTS[first] + COUNTS[part].sum())
        store.add(KEYS[part].repeat(COUNTS[part], axis=0), STATES[rows])
        store.flush()
        first += size
    return store


def test_runs_are_found_by_their_keys_and_end_with_a_segment():
    keys = KEYS[[0, 0, 1, 1, 1, 2]]
    runs = KeyRuns([keys[:4], keys[4:]])
    assert runs.rows(KEYS[:4]).tolist() == [0, 2, 5, -1]
    assert runs.counts(np.array([0, 2, 4, 5])).tolist() == [2, 2, 1, 1]
    assert KeyRuns([]).rows(KEYS).tolist() == [-1] * 5


@pytest.mark.parametrize("name", PLACEMENTS)
def test_a_batch_has_the_states_of_its_objects_padded_to_the_longest(tmp_path, name):
    folder, on_disk = PLACEMENTS[name]
    store = make_store(None if folder is None else tmp_path / folder)
    wanted = [4, 0, 4, 1, 2]  # of the data set's objects, of which two are equal
    placed = PlacedStates(store, KEYS[wanted], Placement(torch.device("cpu"), on_disk=on_disk, reason=""))
    for batch in ([0, 1, 2, 3, 4], [3], [4, 3]):
        for got in (placed.take(torch.tensor(batch)), placed.lookup(KEYS[np.array(wanted)[batch]])):
            longest = max(COUNTS[wanted[one]] for one in batch)
            assert got.states.shape == (len(batch), longest, 2)
            for row, one in enumerate(batch):
                obj = wanted[one]
                expected = STATES[STARTS[obj] : STARTS[obj] + COUNTS[obj]]
                assert got.mask[row].tolist() == [1] * COUNTS[obj] + [0] * (longest - COUNTS[obj])
                assert got.states[row, : COUNTS[obj]].tolist() == expected.tolist()


def test_a_store_of_states_is_found_again_and_none_of_vectors_is_taken_for_it(tmp_path):
    make_store(tmp_path)
    again = EmbeddingStore(fingerprint="f0", dimension=2, kind="token", folder=tmp_path)
    assert again.counts(again.rows(KEYS)).tolist() == COUNTS.tolist()
    with pytest.raises(ValueError, match="Use another folder"):
        EmbeddingStore(fingerprint="f0", dimension=2, folder=tmp_path)


def test_a_damaged_shard_takes_whole_objects_away_and_they_can_be_added_again(tmp_path, caplog):
    make_store(tmp_path)
    file = tmp_path / "part-0.vectors"
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    store = EmbeddingStore(fingerprint="f0", dimension=2, kind="token", folder=tmp_path)
    assert "damaged" in caplog.text
    rows = store.rows(KEYS)
    assert (rows[:2] >= 0).all()
    assert (rows[2:] < 0).all()
    store.add(KEYS[2:].repeat(COUNTS[2:], axis=0), STATES[STARTS[2] :])
    store.flush()
    assert store.counts(store.rows(KEYS)).tolist() == COUNTS.tolist()
    placed = PlacedStates(store, KEYS, Placement(torch.device("cpu"), on_disk=True, reason=""))
    assert placed.take(torch.tensor([4])).states[0].tolist() == STATES[STARTS[4] :].tolist()
