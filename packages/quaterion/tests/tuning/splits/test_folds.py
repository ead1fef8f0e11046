"""Splitting of all forms: no object on both sides, everything covered, sizes and shares as wanted."""

import time
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quaterion.dataset import SimilarityGroupSample, SimilarityPairSample
from quaterion.tuning.splits.folds import hold_out, make_folds


def group_samples(objects_and_groups):
    return [SimilarityGroupSample(f"text {obj}", group) for obj, group in objects_and_groups]


def of_sizes(*sizes):
    """Samples of groups 0, 1, ... with so many objects each."""
    return group_samples((f"{group} {number}", group) for group, size in enumerate(sizes) for number in range(size))


def pair_samples(objects, scores=None):
    return [
        SimilarityPairSample(
            f"{one[0]}", f"{one[1]}", 1.0 if scores is None else scores[i], negatives=[f"{n}" for n in one[2:]]
        )
        for i, one in enumerate(objects)
    ]


def contents(samples, indices):
    found = set()
    for sample in (samples[index] for index in indices):
        grouped = isinstance(sample, SimilarityGroupSample)
        found.update([sample.obj] if grouped else [sample.obj_a, sample.obj_b, *sample.negatives])
    return found


def groups_of(samples, indices):
    return {samples[index].group for index in indices}


def check_sides(samples, kept, held):
    kept, held = list(kept), list(held)
    assert kept == sorted(set(kept)) and held == sorted(set(held))
    assert not set(kept) & set(held)
    assert not contents(samples, kept) & contents(samples, held)


many_groups = st.lists(st.tuples(st.integers(0, 60), st.integers(0, 7)), min_size=2, max_size=80, unique=True)
many_pairs = st.lists(
    st.lists(st.integers(0, 60), min_size=2, max_size=4).map(tuple), min_size=2, max_size=60, unique=True
)
seeds = st.integers(0, 2**31)


@given(rows=many_groups, size=st.floats(0.05, 0.9), seed=seeds)
@settings(deadline=None)
def test_held_out_objects_of_groups_are_never_kept_and_every_group_keeps_one(rows, size, seed):
    samples = group_samples(rows)
    kept, held = hold_out(samples, "groups", size, unseen_groups=False, seed=seed)
    check_sides(samples, kept, held)
    assert len(kept) + len(held) == len(samples)
    assert groups_of(samples, kept) == {sample.group for sample in samples}
    assert (kept, held) == hold_out(samples, "groups", size, unseen_groups=False, seed=seed)


@given(rows=many_groups, num_folds=st.integers(2, 6), seed=seeds)
@settings(deadline=None)
def test_folds_of_groups_hold_out_no_object_twice_and_keep_one_of_every_group(rows, num_folds, seed):
    samples = group_samples(rows)
    folds = make_folds(samples, "groups", num_folds, unseen_groups=False, seed=seed)
    assert len(folds) <= num_folds
    for kept, held in folds:
        check_sides(samples, kept, held)
        assert len(kept) + len(held) == len(samples)
        assert groups_of(samples, kept) == {sample.group for sample in samples}
    assert max(Counter(index for _, held in folds for index in held.tolist()).values(), default=1) == 1


@given(sizes=st.lists(st.integers(2, 9), min_size=1, max_size=9), num_folds=st.integers(2, 6), seed=seeds)
@settings(deadline=None)
def test_folds_of_groups_of_two_or_more_cover_everything_evenly(sizes, num_folds, seed):
    samples = of_sizes(*sizes)
    folds = make_folds(samples, "groups", num_folds, unseen_groups=False, seed=seed)
    assert sorted(index for _, held in folds for index in held.tolist()) == list(range(len(samples)))
    counts = [len(held) for _, held in folds]
    assert max(counts) - min(counts) <= 1
    for group in range(len(sizes)):
        shares = [sum(samples[index].group == group for index in held) for _, held in folds]
        assert max(shares) - min(shares) <= 1


def test_each_group_gives_its_share():
    samples = of_sizes(100, 50, 10)
    _, held = hold_out(samples, "groups", 0.2, unseen_groups=False, seed=0)
    assert Counter(samples[index].group for index in held) == {0: 20, 1: 10, 2: 2}


def test_largest_remainders_come_first_where_shares_are_no_whole_numbers():
    # 3 of 14: 1.5, 1.07 and 0.43; after one each for the first two, the largest remainder is that of the first.
    samples = of_sizes(7, 5, 2)
    _, held = hold_out(samples, "groups", 3, unseen_groups=False, seed=0)
    assert Counter(samples[index].group for index in held) == {0: 2, 1: 1}


def test_groups_are_never_emptied_for_a_large_share():
    samples = of_sizes(10, 2, 1)
    kept, held = hold_out(samples, "groups", 0.95, unseen_groups=False, seed=0)
    assert Counter(samples[index].group for index in kept) == {0: 1, 1: 1, 2: 1}
    assert len(held) == 10


def test_with_two_examples_a_group_five_folds_leave_one():
    samples = of_sizes(*[2] * 20)
    folds = make_folds(samples, "groups", 5, unseen_groups=False, seed=3)
    assert [len(held) for _, held in folds] == [8] * 5
    for kept, held in folds:
        assert groups_of(samples, kept) == set(range(20))
        assert max(Counter(samples[index].group for index in held).values()) == 1


def test_groups_of_one_object_are_never_held_out():
    samples = of_sizes(1, 1, 4)
    folds = make_folds(samples, "groups", 2, unseen_groups=False, seed=0)
    assert groups_of(samples, [index for _, held in folds for index in held]) == {2}
    singles = of_sizes(1, 1, 1)
    assert make_folds(singles, "groups", 5, unseen_groups=False, seed=0) == []
    assert make_folds(singles, "groups", 1, unseen_groups=False, seed=0, share=0.3) == []
    assert hold_out(singles, "groups", 0.3, unseen_groups=False, seed=0) == ([0, 1, 2], [])


def test_a_group_of_one_text_in_two_rows_counts_as_one_object():
    samples = [SimilarityGroupSample("same", 0), SimilarityGroupSample("same", 0), *of_sizes(0, 4)]
    for seed in range(20):
        _, held = hold_out(samples, "groups", 0.5, unseen_groups=False, seed=seed)
        assert not {0, 1} & set(held)


def test_a_group_whose_objects_count_for_others_keeps_one():
    # Both objects of group "both" are first met in groups "a" and "b".
    rows = [("x", "a"), ("x1", "a"), ("y", "b"), ("y1", "b"), ("x", "both"), ("y", "both")]
    samples = group_samples(rows)
    for seed in range(30):
        kept, held = hold_out(samples, "groups", 0.6, unseen_groups=False, seed=seed)
        assert "both" in groups_of(samples, kept)
        check_sides(samples, kept, held)


@given(rows=many_groups, size=st.floats(0.1, 0.8), seed=seeds)
@settings(deadline=None)
def test_whole_groups_are_on_one_side_with_two_on_each(rows, size, seed):
    # Two objects of its own for each of six groups, so that there are enough.
    samples = group_samples([*rows, *((f"own {number} {group}", group) for number in range(2) for group in range(6))])
    kept, held = hold_out(samples, "groups", size, unseen_groups=True, seed=seed)
    check_sides(samples, kept, held)
    assert not groups_of(samples, kept) & groups_of(samples, held)
    assert len(groups_of(samples, kept)) >= 2 and len(groups_of(samples, held)) >= 2
    # Only objects that are in a kept group, too, fall out.
    missing = set(range(len(samples))) - set(kept) - set(held)
    assert contents(samples, missing) <= contents(samples, kept)
    assert (kept, held) == hold_out(samples, "groups", size, unseen_groups=True, seed=seed)


@given(sizes=st.lists(st.integers(2, 30), min_size=4, max_size=30), num_folds=st.integers(2, 6), seed=seeds)
@settings(deadline=None)
def test_folds_of_whole_groups_cover_everything_and_differ_by_no_more_than_a_group(sizes, num_folds, seed):
    samples = of_sizes(*sizes)
    folds = make_folds(samples, "groups", num_folds, unseen_groups=True, seed=seed)
    assert len(folds) == min(num_folds, len(sizes) // 2)
    assert sorted(index for _, held in folds for index in held.tolist()) == list(range(len(samples)))
    for kept, held in folds:
        assert not groups_of(samples, kept) & groups_of(samples, held)
        assert len(groups_of(samples, held)) >= 2
    counts = [len(held) for _, held in folds]
    assert max(counts) - min(counts) <= max(sizes)


def test_whole_groups_are_held_out_near_the_wanted_share():
    samples = of_sizes(*range(2, 42))
    for seed in range(10):
        _, held = hold_out(samples, "groups", 0.25, unseen_groups=True, seed=seed)
        assert abs(len(held) / len(samples) - 0.25) < 0.03  # half the largest group is 21 of 860 samples


def test_too_few_whole_groups_are_an_error_or_no_folds():
    samples = of_sizes(5, 5, 5, 1)
    with pytest.raises(
        ValueError, match=r"takes 4 groups with two different objects or more, .* \(4 groups of 16 samples\)"
    ):
        hold_out(samples, "groups", 0.2, unseen_groups=True, seed=0)
    assert make_folds(samples, "groups", 1, unseen_groups=True, seed=0, share=0.2) == []
    assert make_folds(samples[:10], "groups", 5, unseen_groups=True, seed=0) == []


@given(rows=many_pairs, size=st.floats(0.05, 0.9), seed=seeds, form=st.sampled_from(["pairs", "scored pairs"]))
@settings(deadline=None)
def test_pairs_have_no_object_on_both_sides(rows, size, seed, form):
    scores = [sum(map(int, row)) % 5 / 4 for row in rows]
    samples = pair_samples(rows, scores if form == "scored pairs" else None)
    kept, held = hold_out(samples, form, size, unseen_groups=False, seed=seed)
    check_sides(samples, kept, held)
    assert kept
    assert (kept, held) == hold_out(samples, form, size, unseen_groups=False, seed=seed)
    # What is on neither side has objects of those that were held out, and others.
    if not held:
        assert kept == list(range(len(samples)))


@given(rows=many_pairs, num_folds=st.integers(2, 6), seed=seeds)
@settings(deadline=None)
def test_folds_of_pairs_have_no_object_on_both_sides(rows, num_folds, seed):
    samples = pair_samples(rows)
    folds = make_folds(samples, "pairs", num_folds, unseen_groups=False, seed=seed)
    for kept, held in folds:
        check_sides(samples, kept, held)
        assert len(kept) and len(held)
    assert max(Counter(index for _, held in folds for index in held.tolist()).values(), default=1) == 1


@given(count=st.integers(4, 60), linked=st.integers(1, 3), num_folds=st.integers(2, 5), seed=seeds)
@settings(deadline=None)
def test_folds_of_small_families_of_pairs_cover_everything_and_are_of_equal_size(count, linked, num_folds, seed):
    samples = pair_samples(
        [(f"q{family} {number}", f"a{family}") for family in range(count) for number in range(linked)]
    )
    folds = make_folds(samples, "pairs", num_folds, unseen_groups=False, seed=seed)
    assert len(folds) == min(num_folds, count // 2)
    assert sorted(index for _, held in folds for index in held.tolist()) == list(range(len(samples)))
    counts = [len(held) for _, held in folds]
    assert max(counts) - min(counts) <= linked
    assert all(len(kept) + len(held) == len(samples) for kept, held in folds)


def test_pairs_are_held_out_by_the_wanted_number():
    samples = pair_samples([(f"q{number}", f"a{number // 3}") for number in range(300)])
    for seed in range(10):
        kept, held = hold_out(samples, "pairs", 60, unseen_groups=False, seed=seed)
        assert abs(len(held) - 60) <= 1.5  # half of the three pairs of an answer
        assert len(kept) + len(held) == 300
    assert len({tuple(hold_out(samples, "pairs", 60, unseen_groups=False, seed=seed)[1]) for seed in range(10)}) == 10


def test_negatives_link_pairs():
    samples = pair_samples([("q1", "a1", "n"), ("q2", "a2", "n"), ("n", "a3"), *((f"x{i}", f"y{i}") for i in range(6))])
    for seed in range(10):
        _, held = hold_out(samples, "pairs", 0.4, unseen_groups=False, seed=seed)
        assert len({0, 1, 2} & set(held)) in {0, 3}


def test_one_chain_of_pairs_is_cut_and_only_pairs_at_the_cuts_fall_out():
    samples = pair_samples([(number, number + 1) for number in range(200)])
    kept, held = hold_out(samples, "pairs", 0.2, unseen_groups=False, seed=0)
    check_sides(samples, kept, held)
    assert len(held) == 40 and len(kept) == 159
    folds = make_folds(samples, "pairs", 4, unseen_groups=False, seed=0)
    for kept, held in folds:
        check_sides(samples, kept, held)
        assert 48 <= len(held) <= 50 and len(kept) + len(held) >= 198
    assert sum(len(held) for _, held in folds) == 197


def test_pairs_that_all_share_an_object_cannot_be_held_out():
    star = pair_samples([("hub", number) for number in range(50)])
    assert hold_out(star, "pairs", 0.2, unseen_groups=False, seed=0) == (list(range(50)), [])
    assert make_folds(star, "pairs", 5, unseen_groups=False, seed=0) == []


def test_a_large_family_stays_whole_where_the_others_suffice():
    samples = pair_samples([*(("hub", number) for number in range(60)), *((f"q{i}", f"a{i}") for i in range(40))])
    kept, held = hold_out(samples, "pairs", 0.2, unseen_groups=False, seed=0)
    assert len(held) == 20 and min(held) >= 60 and len(kept) == 80


def test_a_family_larger_than_what_is_wanted_is_held_out_whole_where_no_other_can_be():
    two_stars = pair_samples([(f"hub {number % 2}", number) for number in range(20)])
    kept, held = hold_out(two_stars, "pairs", 0.2, unseen_groups=False, seed=0)
    assert (len(kept), len(held)) == (10, 10)
    threes = pair_samples([(f"q{number}", f"a{number // 3}") for number in range(30)])
    kept, held = hold_out(threes, "pairs", 2, unseen_groups=False, seed=0)
    assert (len(kept), len(held)) == (27, 3)


def test_a_cut_leaves_half_of_what_was_to_be_kept():
    # Each of 40 objects is paired with each: wherever they are cut, most pairs cross.
    samples = pair_samples([(one, other) for one in range(40) for other in range(one)])
    for size in (0.1, 0.2, 0.5):
        kept, held = hold_out(samples, "pairs", size, unseen_groups=False, seed=0)
        check_sides(samples, kept, held)
        assert held and len(kept) >= (1 - size) * len(samples) / 2


@pytest.mark.parametrize("positives", [10, 3, 2])
def test_both_kinds_of_scores_are_on_both_sides(positives):
    samples = pair_samples([(f"a{i}", f"b{i}") for i in range(61)], [float(i < positives) for i in range(61)])
    for seed in range(20):
        for part in hold_out(samples, "scored pairs", 0.1, unseen_groups=False, seed=seed):
            assert {samples[index].score for index in part} == {0.0, 1.0}
        folds = make_folds(samples, "scored pairs", 5, unseen_groups=False, seed=seed)
        assert len(folds) == min(5, positives)
        for part in (part for fold in folds for part in fold):
            assert {samples[index].score for index in part} == {0.0, 1.0}


def test_graded_scores_are_alike_on_both_sides():
    samples = pair_samples([(f"a{i}", f"b{i}") for i in range(1000)], [i / 999 for i in range(1000)])
    _, held = hold_out(samples, "scored pairs", 0.1, unseen_groups=False, seed=1)
    tenths = Counter(min(9, int(samples[index].score * 10)) for index in held)
    assert set(tenths) == set(range(10)) and max(tenths.values()) - min(tenths.values()) <= 2
    for _, held in make_folds(samples, "scored pairs", 5, unseen_groups=False, seed=1):
        tenths = Counter(min(9, int(samples[index].score * 10)) for index in held)
        assert max(tenths.values()) - min(tenths.values()) <= 2


def test_a_single_split_holds_out_the_share():
    samples = of_sizes(10, 10, 10)
    ((kept, held),) = make_folds(samples, "groups", 1, unseen_groups=False, seed=0, share=0.2)
    assert (len(kept), len(held)) == (24, 6)
    assert hold_out(samples, "groups", 0.2, unseen_groups=False, seed=0) == (kept.tolist(), held.tolist())


def test_seeds_choose_differently():
    samples = of_sizes(50, 50)
    chosen = {tuple(hold_out(samples, "groups", 0.2, unseen_groups=False, seed=seed)[1]) for seed in range(5)}
    assert len(chosen) == 5


@pytest.mark.parametrize("size", [-1, 0, 1.0, 1.5, 30, float("nan"), True])
def test_sizes_that_leave_nothing_are_refused(size):
    with pytest.raises(ValueError, match=r"Cannot hold out .* of 30 samples; expected a share .* from 1 to 29"):
        hold_out(of_sizes(10, 20), "groups", size, unseen_groups=False, seed=0)


@pytest.mark.parametrize(("num_folds", "share"), [(1, None), (0, None), (2, 0.2), (1, 0.0), (1, 1.0)])
def test_numbers_of_folds_that_make_no_sense_are_refused(num_folds, share):
    with pytest.raises(ValueError, match=rf"num_folds={num_folds}, share={share}; expected 2 folds or more, or"):
        make_folds(of_sizes(10, 20), "groups", num_folds, unseen_groups=False, seed=0, share=share)


@pytest.mark.slow
def test_time_grows_with_the_number_of_samples_and_not_with_its_square():
    def seconds(count):
        groups = of_sizes(*[count // 100] * 100)
        linked = pair_samples([(f"q{number}", f"a{number * 7919 % (count // 2)}") for number in range(count)])
        start = time.process_time()
        make_folds(groups, "groups", 5, unseen_groups=False, seed=0)
        make_folds(linked, "pairs", 5, unseen_groups=False, seed=0)
        return time.process_time() - start

    seconds(1000)
    assert seconds(160_000) < 30 * seconds(20_000)  # 8 times the samples; 64 times the time if it were squared
