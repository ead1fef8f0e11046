import numpy as np
import pytest

from quaterion_models.search import stored_vectors
from quaterion_models.search.files import IndexFolderError
from quaterion_models.search.filters import AnyOf
from quaterion_models.search.given import object_lines, unit_vectors
from quaterion_models.search.stored_vectors import Segment, StoredVectors, parsed


@pytest.fixture(autouse=True)
def short_segments(monkeypatch):
    monkeypatch.setattr(stored_vectors, "_SEGMENT_NUMBERS", 7 * 3 + 1)  # seven rows each


def filled(rows, dimension=3):
    vectors = unit_vectors(np.random.default_rng(0).standard_normal((rows, dimension)), dimension)
    store, ids = StoredVectors(dimension), [f"id {row}" for row in range(rows)]
    for start, stop in ((0, 3), (3, 3), (3, 20), (20, rows)):
        lines = object_lines(ids[start:stop], [{"row": row} for row in range(start, stop)], stop - start)
        store.append(ids[start:stop], vectors[start:stop], lines)
    return store, vectors, ids


def test_rows_are_the_same_however_they_lie_in_segments():
    store, vectors, ids = filled(40)
    assert (store.rows, len(store)) == (40, 40)
    rows = np.array([39, 0, 6, 7, 7, 21, 3])
    assert (store.take(rows) == vectors[rows]).all()
    assert [store.object_at(row) for row in (0, 6, 7, 39)] == [(ids[row], {"row": row}) for row in (0, 6, 7, 39)]
    for first in (0, 1, 7, 13, 39, 40):
        assert [parsed(line)[0] for line in store.lines(first)] == ids[first:]
        for size in (1, 4, 100):
            blocks = list(store.blocks(size, first))
            assert all(len(block) <= size for _, block in blocks)
            assert [start + row for start, block in blocks for row in range(len(block))] == list(range(first, 40))
            assert (np.concatenate([np.empty((0, 3)), *(block for _, block in blocks)]) == vectors[first:]).all()


def test_deleted_rows_keep_their_places_and_compacting_drops_them():
    store, vectors, ids = filled(40)
    assert store.delete([*ids[::2], ids[0]]) == 20
    assert (store.rows, len(store)) == (40, 20)
    assert store.live().tolist() == [row % 2 == 1 for row in range(40)]
    assert store.held(ids[:3]) == [False, True, False]
    small = store.compacted()
    assert (small.rows, len(small)) == (20, 20)
    assert (small.take(np.arange(20)) == vectors[1::2]).all()
    assert [small.object_at(row) for row in range(20)] == [(ids[row], {"row": row}) for row in range(1, 40, 2)]
    assert small.held(ids[:4]) == [False, True, False, True]


def test_an_id_that_segments_hold_twice_is_found_out_unless_one_was_deleted():
    segments = [Segment(np.zeros((1, 2), np.float32), [b'["a",{}]'])] * 2
    with pytest.raises(IndexFolderError, match="the index is damaged: it holds 'a' twice"):
        StoredVectors(2, segments).held(["a"])
    assert StoredVectors(2, segments, np.array([False, True])).held(["a", "b"]) == [True, False]


@pytest.mark.parametrize(
    "line",
    [b"", b"{}", b"[1]", b"[1,2]", b"[1,{},3]", b"[true,{}]", b"[1.5,{}]", b"[null,{}]", b"\xff", b"[" * 10**5, b"7"],
)  # fmt: skip
def test_a_line_that_is_no_object_is_refused(line):
    with pytest.raises(IndexFolderError, match="the index is damaged"):
        parsed(line)
    # Among others it is found as well, whatever it does to what stands beside it.
    lines = [b'["a",{}]', line, b'["b",{}]']
    with pytest.raises(IndexFolderError, match="the index is damaged"):
        StoredVectors(2, [Segment(np.zeros((3, 2), np.float32), lines)]).held(["a"])


def test_a_line_with_two_objects_is_refused():
    with pytest.raises(IndexFolderError, match="the index is damaged"):
        StoredVectors(2, [Segment(np.zeros((1, 2), np.float32), [b'["a",{}],["b",{}]'])]).held(["a"])


def test_more_lines_than_are_read_at_a_time_keep_their_rows(monkeypatch):
    monkeypatch.setattr(stored_vectors, "_LINES_AT_A_TIME", 3)
    lines = [b'["%d",{"row":%d}]' % (row, row) for row in range(10)]
    store = StoredVectors(
        2, [Segment(np.zeros((4, 2), np.float32), lines[:4]), Segment(np.zeros((6, 2), np.float32), lines[4:])]
    )
    assert store.delete(["3", "7"]) == 2
    assert np.flatnonzero(~store.live()).tolist() == [3, 7]
    assert store.allowed([AnyOf("row", (5, 7))]).nonzero()[0].tolist() == [5]
