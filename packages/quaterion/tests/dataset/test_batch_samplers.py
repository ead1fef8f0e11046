"""Composed batches: what each must hold, how often each sample is drawn, and through real loaders."""

from collections import Counter

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


def test_each_batch_holds_p_groups_with_k_different_samples_where_the_group_has_them():
    sampler = GroupBatchSampler(GROUPS, groups_per_batch=3, samples_per_group=3)
    for batch in sampler.index_batches():
        counts = Counter(GROUPS[batch].tolist())
        assert sorted(counts.values()) == [3, 3, 3]
        for group in counts:
            drawn = batch[GROUPS[batch] == group].tolist()
            assert len(set(drawn)) == min(3, int((group == GROUPS).sum()))


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
    loader = GroupSimilarityDataLoader(data, groups_per_batch=2, samples_per_group=4, shuffle=True, batch_size=8)
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
