"""Placed vectors give each object its own row, however often it occurs."""

import numpy as np
import pytest
import torch

from quaterion.cache import EmbeddingStore
from quaterion.cache.placed_vectors import PlacedVectors

CPU = torch.device("cpu")


def keys_of(numbers):
    keys = np.zeros((len(numbers), 16), dtype=np.uint8)
    keys[:, 9] = numbers
    return keys


@pytest.fixture
def store():
    store = EmbeddingStore(fingerprint="f", dimension=1)
    numbers = [4, 2, 9, 7]
    store.add(keys_of(numbers), np.array(numbers, dtype=np.float32)[:, None])
    store.flush()
    return store


@pytest.mark.parametrize("numbers", [[9, 2], [2, 2, 9, 2, 4], [4, 2, 9, 7]])
def test_objects_and_keys_lead_to_the_same_vectors(store, numbers):
    placed = PlacedVectors.place(store, keys_of(numbers), CPU)
    assert len(placed.vectors) == len(set(numbers))
    objects = torch.tensor([len(numbers) - 1, 0, 0])
    wanted = [float(numbers[i]) for i in objects]
    assert placed.take(objects)[:, 0].tolist() == wanted
    assert placed.lookup(keys_of([int(n) for n in wanted]))[:, 0].tolist() == wanted


def test_a_key_that_was_not_placed_is_refused(store):
    placed = PlacedVectors.place(store, keys_of([9, 2]), CPU)
    with pytest.raises(ValueError, match="was not in the data set when the cache was filled"):
        placed.lookup(keys_of([4]))
