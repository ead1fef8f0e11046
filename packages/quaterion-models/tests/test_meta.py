import copy
import pickle

import pytest
import torch

from quaterion_models import Meta


def test_reads_like_the_list_it_was_made_of():
    dicts = [{"encoder": "a"}, {}, {"encoder": "a"}, {"encoder": "b", "size": 3}, {}]
    meta = Meta.of(dicts)
    assert list(meta) == dicts
    assert len(meta) == 5
    assert meta[-1] == {}
    assert list(meta[1:3]) == dicts[1:3]


def test_equal_dicts_are_stored_once():
    meta = Meta.of([{"encoder": "a"}, {"encoder": "b"}, {"encoder": "a"}, {"x": 1, "y": 2}, {"y": 2, "x": 1}])
    assert len(meta.table) == 3
    assert meta.codes.tolist() == [0, 1, 0, 2, 2]


def test_values_of_different_types_are_not_mixed_up():
    dicts = [{"n": 1}, {"n": True}, {"n": 1.0}, {"n": "1"}]
    assert [type(item["n"]) for item in Meta.of(dicts)] == [int, bool, float, str]


def test_values_without_a_content_key_are_kept():
    anything = object()
    meta = Meta.of([{"x": anything}, {"x": anything}])
    assert meta[1]["x"] is anything


def test_take_picks_rows_and_keeps_the_table():
    meta = Meta.of([{"i": 0}, {"i": 1}, {"i": 2}])
    taken = meta.take(torch.tensor([2, 2, 0]))
    assert list(taken) == [{"i": 2}, {"i": 2}, {"i": 0}]
    assert taken.table is meta.table


def test_join_puts_rows_after_each_other_with_one_table():
    joined = Meta.join([Meta.of([{"i": 0}, {"i": 1}]), Meta.of([{"i": 1}]), Meta.empty(1)])
    assert list(joined) == [{"i": 0}, {"i": 1}, {"i": 1}, {}]
    assert len(joined.table) == 3
    assert len(Meta.join([])) == 0


def test_of_a_meta_is_the_meta_itself():
    meta = Meta.empty(3)
    assert Meta.of(meta) is meta


def test_survives_copy_and_pickle():
    meta = Meta.of([{"i": 0}, {"i": 1}])
    assert list(copy.deepcopy(meta)) == list(pickle.loads(pickle.dumps(meta))) == list(meta)


@pytest.mark.parametrize("codes", [torch.tensor([0.0]), torch.tensor([[0]]), torch.tensor([0], dtype=torch.int32)])
def test_codes_of_another_kind_are_refused(codes):
    with pytest.raises(ValueError, match=r"codes must be int64 \[B\] on the CPU, got"):
        Meta([{}], codes)


@pytest.mark.parametrize("code", [-1, 1])
def test_codes_outside_the_table_are_refused(code):
    with pytest.raises(ValueError, match=r"codes must lie in 0\.\.0"):
        Meta([{}], torch.tensor([code]))
