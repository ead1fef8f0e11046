"""Sets that hang together, against a plain search, and the order of their objects."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from quaterion.tuning.splits.linked import breadth_first, linked_sets

some_sets = st.lists(st.lists(st.integers(0, 25), min_size=1, max_size=4), min_size=1, max_size=25)


def flat(sets):
    objects = np.unique([obj for one in sets for obj in one], return_inverse=True)[1]
    counts = np.array([len(one) for one in sets])
    return objects, np.cumsum(counts) - counts


def searched(sets):
    """Number of the family of each set, by going from set to set."""
    families = [-1] * len(sets)
    for start in range(len(sets)):
        if families[start] >= 0:
            continue
        known, families[start] = set(sets[start]), start
        grown = True
        while grown:
            grown = False
            for number, one in enumerate(sets):
                if families[number] < 0 and known & set(one):
                    families[number], grown = start, True
                    known |= set(one)
    return families


@given(some_sets)
def test_sets_are_linked_as_a_search_finds(sets):
    numbers, families = linked_sets(*flat(sets)).tolist(), searched(sets)
    same = [[one == other for other in numbers] for one in numbers]
    assert same == [[one == other for other in families] for one in families]


def test_a_long_chain_in_any_order_is_one():
    links = np.random.default_rng(0).permutation(5000)
    objects = np.stack([links, links + 1], axis=1).reshape(-1)
    assert linked_sets(objects, np.arange(5000) * 2).tolist() == [0] * 5000


@given(some_sets, st.integers(0, 9))
def test_every_object_has_a_place_and_all_but_the_first_come_after_one_they_are_linked_to(sets, seed):
    families = searched(sets)
    objects, starts = flat([one for one, family in zip(sets, families, strict=True) if family == 0])
    place = breadth_first(objects, starts, np.random.default_rng(seed))
    assert sorted(place.tolist()) == list(range(int(objects.max()) + 1))
    members = np.split(place[objects], starts[1:])
    for one in range(1, len(place)):
        assert any(one in some and some.min() < one for some in members)


def test_a_chain_is_followed_from_end_to_end():
    chain = np.array([0, 1, 1, 2, 2, 3, 3, 4])
    place = breadth_first(chain, np.arange(4) * 2, np.random.default_rng(0)).tolist()
    assert place in ([0, 1, 2, 3, 4], [4, 3, 2, 1, 0])


def test_objects_of_few_sets_come_before_a_hub():
    # 1 is linked to 0, 2, 3 and 4, of which 2 is linked to 5 and 6.
    edges = np.array([0, 1, 1, 2, 1, 3, 1, 4, 2, 5, 2, 6])
    places = [breadth_first(edges, np.arange(6) * 2, np.random.default_rng(seed)).tolist() for seed in range(20)]
    from_zero = [place for place in places if place[0] == 0]
    assert from_zero and all(place[1] == 1 and place[2] == 4 for place in from_zero)
