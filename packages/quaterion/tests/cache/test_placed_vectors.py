"""Placed vectors give each object its own row, however often it occurs."""

import numpy as np
import pytest
import torch

from quaterion.cache import EmbeddingStore
from quaterion.cache.placed_vectors import PlacedVectors
from quaterion.cache.placement import Placement

CPU = Placement(torch.device("cpu"), on_disk=False, reason="")
DISK = Placement(torch.device("cpu"), on_disk=True, reason="")


def keys_of(numbers):
    keys = np.zeros((len(numbers), 16), dtype=np.uint8)
    keys[:, 9] = numbers
    return keys


@pytest.fixture(params=["memory", "folder", "disk"])
def place(request, tmp_path):
    """Places keys of a store in memory, a copy of a store in a folder, or that store itself."""
    store = EmbeddingStore(fingerprint="f", dimension=1, folder=None if request.param == "memory" else tmp_path)
    numbers = [4, 2, 9, 7]
    store.add(keys_of(numbers), np.array(numbers, dtype=np.float32)[:, None])
    store.flush()
    return lambda keys: PlacedVectors(store, keys, DISK if request.param == "disk" else CPU)


@pytest.mark.parametrize("numbers", [[9, 2], [2, 2, 9, 2, 4], [4, 2, 9, 7]])
def test_objects_and_keys_lead_to_the_same_vectors(place, numbers):
    placed = place(keys_of(numbers))
    objects = torch.tensor([len(numbers) - 1, 0, 0])
    wanted = [float(numbers[i]) for i in objects]
    assert placed.take(objects)[:, 0].tolist() == wanted
    assert placed.lookup(keys_of([int(n) for n in wanted]))[:, 0].tolist() == wanted


def test_a_key_that_was_not_placed_is_refused(place):
    placed = place(keys_of([9, 2]))
    with pytest.raises(ValueError, match="was not in the data set when the cache was filled"):
        placed.lookup(keys_of([4]))
