"""Slices of global batches."""

from itertools import chain

import pytest
import torch
from torch.utils.data import BatchSampler, IterableDataset, RandomSampler

from quaterion.dataset import (
    GroupSimilarityDataLoader,
    PairsSimilarityDataLoader,
    SimilarityGroupSample,
    SimilarityPairSample,
)
from quaterion.dataset.rank_slices import RankSlices, widened
from quaterion.utils.ranks import Ranks

GROUPS = [SimilarityGroupSample(i, i % 3) for i in range(10)]
PAIRS = [SimilarityPairSample(i, -i, subgroup=i) for i in range(1, 11)]


def indices(loader):
    torch.manual_seed(0)
    return [list(batch) for batch in loader.batch_sampler]


@pytest.mark.parametrize("how", [{}, {"shuffle": True}, {"shuffle": True, "drop_last": True}])
def test_a_widened_loader_draws_what_one_of_so_many_times_the_batch_size_draws(how):
    loader = GroupSimilarityDataLoader(GROUPS, batch_size=2, **how)
    before = dict(vars(loader))
    wide = widened(loader, Ranks(0, 2))
    assert indices(wide) == indices(GroupSimilarityDataLoader(GROUPS, batch_size=4, **how))
    assert len(wide) == (2 if "drop_last" in how else 3)
    assert vars(loader) == before


def test_batch_samplers_compose_global_batches_and_unique_subgroups_count_those_of_a_process():
    own = GroupSimilarityDataLoader(GROUPS, batch_sampler=BatchSampler(RandomSampler(GROUPS), 4, drop_last=False))
    assert widened(own, Ranks(0, 2)).batch_sampler is own.batch_sampler
    composed = GroupSimilarityDataLoader(GROUPS, groups_per_batch=2, samples_per_group=2)
    assert widened(composed, Ranks(0, 2)).batch_sampler is composed.batch_sampler
    unique = widened(PairsSimilarityDataLoader(PAIRS, unique_subgroups=True, batch_size=2), Ranks(0, 2))
    assert max(map(len, indices(unique))) == 4


def test_a_stream_is_widened_too():
    class Stream(IterableDataset):
        def __iter__(self):
            return iter(GROUPS)

    assert widened(GroupSimilarityDataLoader(Stream(), batch_size=2), Ranks(1, 3)).batch_size == 6


@pytest.mark.parametrize("size", [1, 2, 3, 7])
def test_slices_of_all_processes_are_the_batch_and_empty_ones_are_fillers(size):
    batches = [[5, 3, 8, 1, 9], [4, 2], [7]]
    taken = []
    for rank in range(size):
        slices = RankSlices(batches, Told(rank, size, batches))
        drawn = list(slices)
        taken.append([[] if filler else one for one, filler in zip(drawn, slices.fillers, strict=True)])
        for one, batch, filler in zip(drawn, batches, slices.fillers, strict=True):
            assert not filler or one == batch[:1]
    assert [list(chain(*parts)) for parts in zip(*taken, strict=True)] == batches


class Told(Ranks):
    """A process that hears what the first one draws."""

    def __init__(self, rank, size, batches):
        super().__init__(rank, size)
        self._batches = batches

    def broadcast(self, value):
        del value
        return [torch.tensor(batch).numpy() for batch in self._batches]
