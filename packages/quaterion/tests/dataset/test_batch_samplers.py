"""Composed batches: what each must hold, how often each sample is drawn, and through real loaders."""

from collections import Counter

import numpy as np
import pytest
import torch
from torch.utils.data import IterableDataset

from quaterion.dataset import (
    GroupSimilarityDataLoader,
    PairsSimilarityDataLoader,
    SimilarityGroupSample,
    SimilarityPairSample,
)
from quaterion.dataset.batch_samplers import GroupBatchSampler, UniqueSubgroupBatchSampler
from quaterion.dataset.drawing import IndexBatches

GROUPS = torch.tensor([0] * 10 + [1] * 3 + [2] * 7 + [3] * 2 + [4] * 30)


def test_each_batch_holds_p_groups_with_k_different_samples_or_all_that_a_group_has():
    groups = torch.cat([GROUPS, torch.tensor([5])])
    sampler = GroupBatchSampler(groups, groups_per_batch=np.int64(3), samples_per_group=np.int64(3))
    for batch in sampler.index_batches():
        assert len(set(batch.tolist())) == len(batch)
        counts = Counter(groups[batch].tolist())
        assert len(counts) == 3
        for group, count in counts.items():
            assert count == min(3, int((group == groups).sum()))


@pytest.mark.parametrize(("groups_per_batch", "batches"), [(6, 8), (9, 5), (7, 7), (4, 12), (10, 5)])
def test_groups_are_visited_equally_often_where_p_does_not_divide_their_number(groups_per_batch, batches):
    groups = torch.arange(10).repeat_interleave(20)
    sampler = GroupBatchSampler(groups, groups_per_batch=groups_per_batch, samples_per_group=4)
    assert len(sampler) == batches == 200 // (groups_per_batch * 4)
    drawn = list(sampler.index_batches())
    visits = torch.stack([torch.bincount(groups[batch], minlength=10) for batch in drawn])
    assert set(visits.flatten().tolist()) <= {0, 4}  # never twice in one batch
    visits = visits.sum(dim=0) // 4
    assert visits.sum() == batches * groups_per_batch
    assert visits.max() - visits.min() <= 1


def test_an_epoch_of_small_groups_draws_as_many_samples_as_there_are():
    groups = torch.cat([torch.arange(50).repeat_interleave(2), torch.full((8,), 50)])
    sampler = GroupBatchSampler(groups, groups_per_batch=10, samples_per_group=8)
    # A batch holds 10 of 51 groups, on average 10/51 of what all give at once, which is all 108 samples.
    assert len(sampler) == 5
    assert all(len(batch) in {20, 26} for batch in sampler.index_batches())


def test_groups_and_samples_within_a_group_are_drawn_equally_often():
    groups = torch.arange(8).repeat_interleave(25)
    sampler = GroupBatchSampler(groups, groups_per_batch=4, samples_per_group=5)
    drawn = torch.cat(list(sampler.index_batches()))
    assert len(drawn) == len(groups) == 200
    assert torch.bincount(drawn, minlength=200).tolist() == [1] * 200  # 8 groups × 5 visits × 5 samples


def test_epochs_differ_and_a_seed_repeats_them():
    sampler = GroupBatchSampler(GROUPS, groups_per_batch=2, samples_per_group=2)
    torch.manual_seed(0)
    first, second = list(sampler), list(sampler)
    torch.manual_seed(0)
    assert list(sampler) == first != second
    generators = [torch.Generator().manual_seed(3) for _ in range(2)]
    samplers = [GroupBatchSampler(GROUPS, groups_per_batch=2, samples_per_group=2, generator=g) for g in generators]
    assert list(samplers[0]) == list(samplers[1])


@pytest.mark.filterwarnings("ignore:One subgroup has:UserWarning")
@pytest.mark.parametrize("sizes", [[1] * 20, [5, 5, 1, 1, 1], [12, 1, 1], [3] * 7])
@pytest.mark.parametrize("batch_size", [1, 4, 50])
def test_every_pair_comes_once_and_no_two_of_a_subgroup_meet(sizes, batch_size):
    subgroups = torch.arange(len(sizes)).repeat_interleave(torch.tensor(sizes))
    sampler = UniqueSubgroupBatchSampler(subgroups, batch_size=batch_size)
    batches = list(sampler.index_batches())
    assert len(batches) == len(sampler)
    assert sorted(torch.cat(batches).tolist()) == list(range(len(subgroups)))
    for batch in batches:
        assert 0 < len(batch) <= batch_size
        assert len(set(subgroups[batch].tolist())) == len(batch)


def test_loaders_compose_batches_and_draw_them_alike_from_a_cache():
    data = [SimilarityGroupSample(str(i), f"group {g}") for i, g in enumerate(GROUPS.tolist())]
    torch.manual_seed(1)
    loader = GroupSimilarityDataLoader(data, groups_per_batch=4, samples_per_group=2, shuffle=True, batch_size=8)
    objects = [list(map(int, objects)) for _, objects, _ in loader]
    assert {len(batch) for batch in objects} == {8}
    torch.manual_seed(1)
    assert [batch.tolist() for batch in IndexBatches(loader, length=len(data))] == objects

    pairs = [SimilarityPairSample(f"a{i}", f"b{i}", subgroup=i % 4) for i in range(12)]
    for _, _, labels in PairsSimilarityDataLoader(pairs, batch_size=3, unique_subgroups=True):
        subgroups = labels["subgroups"][: len(labels["pairs"])]
        assert len(subgroups.unique()) == len(subgroups) == 3


class Stream(IterableDataset):
    def __iter__(self):
        return iter([])


DATA = [SimilarityGroupSample(str(i), i % 3) for i in range(9)]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"groups_per_batch": 4, "samples_per_group": 2}, "groups_per_batch=4, but the data set has 3 groups"),
        ({"groups_per_batch": 2, "samples_per_group": 4}, "samples_per_group=4, but the largest group has 3"),
        ({"groups_per_batch": 1, "samples_per_group": 2}, "groups_per_batch=1; expected an int of at least 2"),
        ({"groups_per_batch": 2}, "expected both or neither"),
        ({"groups_per_batch": 2, "samples_per_group": 2, "batch_size": 5}, "have 4 samples, but batch_size=5"),
        ({"groups_per_batch": 2, "samples_per_group": 2, "drop_last": True}, "leave out drop_last"),
        ({"groups_per_batch": 2, "samples_per_group": 2, "shuffle": False}, "drawn at random, but shuffle=False"),
    ],
)
def test_batches_that_cannot_be_drawn_are_refused_when_the_loader_is_built(arguments, message):
    with pytest.raises(ValueError, match=message):
        GroupSimilarityDataLoader(DATA, **arguments)


def test_composed_batches_need_a_data_set_with_a_length():
    with pytest.raises(TypeError, match="need a data set with a length.*Stream"):
        GroupSimilarityDataLoader(Stream(), groups_per_batch=2, samples_per_group=2)
    with pytest.raises(ValueError, match="empty data set"):
        GroupSimilarityDataLoader([], groups_per_batch=2, samples_per_group=2)


def test_one_subgroup_cannot_be_unique():
    pairs = [SimilarityPairSample("a", "b"), SimilarityPairSample("c", "d")]
    with pytest.raises(ValueError, match="all 2 pairs are of one subgroup"):
        PairsSimilarityDataLoader(pairs, batch_size=2, unique_subgroups=True)
    with pytest.raises(ValueError, match="batch_size=0"):
        UniqueSubgroupBatchSampler(torch.tensor([1, 2]), batch_size=0)


def test_unique_subgroups_need_a_batch_size():
    pairs = [SimilarityPairSample(f"a{i}", f"b{i}", subgroup=i) for i in range(4)]
    with pytest.raises(ValueError, match="composes batches of batch_size pairs, but got no batch_size"):
        PairsSimilarityDataLoader(pairs, unique_subgroups=True)
    with pytest.raises(ValueError, match="unique_subgroups are always drawn at random, but shuffle=False"):
        PairsSimilarityDataLoader(pairs, unique_subgroups=True, batch_size=2, shuffle=False)


def test_a_subgroup_so_large_that_batches_stay_small_is_told():
    subgroups = torch.cat([torch.zeros(900, dtype=torch.int64), torch.arange(1, 101)])
    with pytest.warns(UserWarning, match="One subgroup has 900 of 1000 pairs.* 900 batches of about 1.1 .* 10 of"):
        UniqueSubgroupBatchSampler(subgroups, batch_size=100)
    UniqueSubgroupBatchSampler(subgroups[880:], batch_size=10)  # 20 batches of 6 instead of 12 of 10
