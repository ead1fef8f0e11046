"""Index batches are those of torch's DataLoader, and so are the random numbers left behind."""

import pytest
import torch
from torch.utils.data import (
    BatchSampler,
    DataLoader,
    IterableDataset,
    RandomSampler,
    SequentialSampler,
    SubsetRandomSampler,
    WeightedRandomSampler,
)

from quaterion.dataset.drawing import IndexBatches

N = 23


class Stream(IterableDataset):
    def __iter__(self):
        return iter(range(N))


def with_generator():
    return torch.Generator().manual_seed(5)


LOADERS = {
    "sequential": lambda: DataLoader(range(N), batch_size=4),
    "shuffled": lambda: DataLoader(range(N), batch_size=4, shuffle=True),
    "drop_last": lambda: DataLoader(range(N), batch_size=4, shuffle=True, drop_last=True),
    "drop_last that fits": lambda: DataLoader(range(N - 3), batch_size=4, shuffle=True, drop_last=True),
    "generator": lambda: DataLoader(range(N), batch_size=4, shuffle=True, generator=with_generator()),
    "sampler with generator": lambda: DataLoader(
        range(N), batch_size=4, sampler=RandomSampler(range(N), generator=with_generator())
    ),
    "fewer samples": lambda: DataLoader(range(N), batch_size=4, sampler=RandomSampler(range(N), num_samples=9)),
    "replacement": lambda: DataLoader(range(N), batch_size=4, sampler=RandomSampler(range(N), replacement=True)),
    "weighted": lambda: DataLoader(range(N), batch_size=4, sampler=WeightedRandomSampler(torch.ones(N), 11)),
    "subset": lambda: DataLoader(range(N), batch_size=4, sampler=SubsetRandomSampler(range(5, 17))),
    "batch sampler": lambda: DataLoader(
        range(N), batch_sampler=BatchSampler(SequentialSampler(range(N)), 5, drop_last=True)
    ),
    "list of batches": lambda: DataLoader(range(N), batch_sampler=[[1, 2], [3], [4, 5, 6]]),
    "stream": lambda: DataLoader(Stream(), batch_size=4),
    "stream, drop_last": lambda: DataLoader(Stream(), batch_size=4, drop_last=True),
}


@pytest.mark.parametrize("name", LOADERS)
def test_two_epochs_draw_the_same_batches_and_leave_the_same_random_state(name):
    torch.manual_seed(0)
    loader = LOADERS[name]()
    expected = [[batch.tolist() for batch in loader] for _ in range(2)]
    after = torch.rand(1)

    torch.manual_seed(0)
    drawn = IndexBatches(LOADERS[name](), length=N)
    actual = [[batch.tolist() for batch in drawn] for _ in range(2)]
    assert actual == expected
    assert torch.rand(1) == after
    assert len(drawn) == len(expected[0])


def test_a_generator_of_the_users_own_is_left_as_the_loader_leaves_it():
    loaders = [LOADERS["generator"]() for _ in range(2)]
    list(loaders[0])
    list(IndexBatches(loaders[1], length=N))
    assert torch.equal(loaders[0].generator.get_state(), loaders[1].generator.get_state())


def test_workers_that_stay_draw_their_seed_once():
    states = []
    for draw in (lambda loader: loader, lambda loader: IndexBatches(loader, length=N)):
        torch.manual_seed(0)
        batches = draw(DataLoader(range(N), batch_size=4, shuffle=True, num_workers=1, persistent_workers=True))
        for _ in range(3):
            list(batches)
        states.append(torch.rand(1))
    assert states[0] == states[1]


def test_a_loader_without_batches_is_refused():
    with pytest.raises(ValueError, match="batch_size=None; expected batches"):
        IndexBatches(DataLoader(range(N), batch_size=None), length=N)
