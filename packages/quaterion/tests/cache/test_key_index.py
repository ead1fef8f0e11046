"""The index of keys against a dictionary."""

import numpy as np
import pytest

from quaterion.cache.key_index import KeyIndex, distinct_keys


def random_keys(count, *, values, seed=0):
    """Keys of few different bytes, so that halves and whole keys coincide often."""
    rng = np.random.default_rng(seed)
    keys = np.zeros((count, 16), dtype=np.uint8)
    keys[:, [0, 7, 8, 15]] = rng.integers(0, values, size=(count, 4))
    return keys


def test_rows_are_those_of_a_dictionary_even_where_halves_of_keys_coincide():
    for values in (2, 3, 256):
        keys, wanted = random_keys(300, values=values), random_keys(200, values=values, seed=1)
        table = {}
        for row, key in enumerate(keys):
            table.setdefault(key.tobytes(), row)
        expected = [table.get(key.tobytes(), -1) for key in wanted]
        assert KeyIndex(keys).rows(wanted).tolist() == expected
        assert (KeyIndex(keys).rows(keys) >= 0).all()


def test_an_empty_index_knows_nothing_and_nothing_can_be_asked():
    empty = np.empty((0, 16), dtype=np.uint8)
    assert KeyIndex(empty).rows(random_keys(3, values=2)).tolist() == [-1, -1, -1]
    assert KeyIndex(random_keys(3, values=2)).rows(empty).tolist() == []


def test_distinct_keys_rebuild_all_keys_in_order_of_appearance():
    keys = random_keys(500, values=3)
    first, inverse = distinct_keys(keys)
    assert (keys[first][inverse] == keys).all()
    assert len({key.tobytes() for key in keys}) == len(first)
    assert (np.diff(first) > 0).all() and first[0] == 0
    assert [len(part) for part in distinct_keys(keys[:0])] == [0, 0]


@pytest.mark.parametrize("order", ["big", "little"])
def test_keys_that_share_a_half_are_told_apart_in_one_look(order):
    """Numbers as 16 bytes: one half of every key is zero, and many of those that are looked for are not there."""
    count = 20_000
    numbers = [number.to_bytes(16, order) for number in range(2 * count)]
    keys = np.frombuffer(b"".join(numbers), dtype=np.uint8).reshape(-1, 16)
    index = KeyIndex(keys[:count])
    assert index._longest_run == 1  # as many passes over all keys as there are keys side by side
    assert index.rows(keys).tolist() == [*range(count), *[-1] * count]
