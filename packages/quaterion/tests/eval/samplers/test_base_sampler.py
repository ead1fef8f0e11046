import pytest
import torch

from quaterion.eval.samplers import GroupSampler, PairSampler


@pytest.mark.parametrize("sampler", [GroupSampler, PairSampler])
@pytest.mark.parametrize("size", [0, -2])
def test_a_sample_size_that_makes_no_sense_is_refused(sampler, size):
    with pytest.raises(ValueError, match=rf"sample_size={size}; expected the number of queries, or -1"):
        sampler(sample_size=size)


@pytest.mark.parametrize("sampler", [GroupSampler, PairSampler])
def test_a_batch_size_below_one_is_refused(sampler):
    with pytest.raises(ValueError, match=r"encode_batch_size=0; expected 1 or more"):
        sampler(encode_batch_size=0)


@pytest.mark.parametrize("name", ["sample_size", "encode_batch_size"])
@pytest.mark.parametrize("value", [1.5, True, "5"])
def test_what_is_no_whole_number_is_refused(name, value):
    with pytest.raises(ValueError, match=rf"{name}={value!r}; expected"):
        GroupSampler(**{name: value})


def test_arguments_go_by_position_as_documented():
    group = GroupSampler(5, 8, "cpu", False)
    assert (group.sample_size, group.encode_batch_size, group.device, group.log_progress) == (5, 8, "cpu", False)
    pair = PairSampler(5, True, 8, "cpu", False)
    assert (pair.sample_size, pair.distinguish, pair.encode_batch_size, pair.device) == (5, True, 8, "cpu")
    assert pair.log_progress is False
    for sampler in (GroupSampler(), PairSampler()):
        assert (sampler.sample_size, sampler.encode_batch_size, sampler.device) == (-1, 16, None)
        assert sampler.log_progress is True


def test_a_sample_holds_different_queries_that_have_something_relevant():
    num_relevant = torch.arange(100) % 4
    for size in (1, 10, 74):
        chosen = GroupSampler(sample_size=size).choose(num_relevant)
        assert len(chosen.unique()) == size
        assert bool((num_relevant[chosen] > 0).all())
        assert torch.equal(chosen, chosen.sort().values)


@pytest.mark.parametrize("size", [-1, 75, 1000])
def test_all_queries_are_evaluated_where_the_sample_would_hold_them_all(size):
    num_relevant = torch.arange(100) % 4
    assert torch.equal(GroupSampler(sample_size=size).choose(num_relevant), torch.arange(100))


def test_a_seed_decides_the_sample_and_no_global_state():
    num_relevant = torch.ones(1000)
    before = torch.random.get_rng_state()
    one, again, other = (GroupSampler(sample_size=20, seed=seed).choose(num_relevant) for seed in (1, 1, 2))
    assert torch.equal(one, again)
    assert not torch.equal(one, other)
    assert torch.equal(torch.random.get_rng_state(), before)
