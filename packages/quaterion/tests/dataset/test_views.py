"""K versions of an item, each with random numbers of its own and the same at every reading."""

import random

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from quaterion.dataset.views import ViewedDataset


class Noisy:
    """Items with a number from each of the global generators."""

    def __len__(self):
        return 5

    def __getitem__(self, index):
        return index, random.random(), np.random.rand(), float(torch.rand(1))  # noqa: NPY002


def seed_all(seed):
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002
    torch.manual_seed(seed)


def states():
    return random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()  # noqa: NPY002


def test_a_version_is_the_same_at_every_reading_whatever_was_drawn_before():
    viewed = ViewedDataset(Noisy(), views=3)
    seed_all(0)
    first = [viewed[index] for index in range(5)]
    seed_all(99)
    assert [[viewed.view(index, view) for view in range(3)] for index in reversed(range(5))][::-1] == first
    assert len(viewed) == 5


@pytest.mark.parametrize("generator", [1, 2, 3], ids=["python", "numpy", "torch"])
def test_every_version_of_every_item_draws_numbers_of_its_own(generator):
    viewed = ViewedDataset(Noisy(), views=4)
    drawn = {version[generator] for index in range(5) for version in viewed[index]}
    assert len(drawn) == 4 * 5


def test_versions_do_not_depend_on_how_many_there_are():
    few, many = ViewedDataset(Noisy(), views=2), ViewedDataset(Noisy(), views=5)
    assert all(many[index][:2] == few[index] for index in range(5))


def test_workers_read_the_same_versions():
    viewed = ViewedDataset(Noisy(), views=2)
    loader = DataLoader(viewed, batch_size=None, num_workers=2)
    assert [[tuple(version) for version in item] for item in loader] == [viewed[index] for index in range(5)]


def test_a_single_version_is_the_item_itself_and_no_seed_is_set():
    seed_all(3)
    expected = [[Noisy()[index]] for index in range(5)]
    after = states()
    seed_all(3)
    viewed = ViewedDataset(Noisy(), views=1)
    assert [viewed[index] for index in range(5)] == expected
    assert states() == after
