import numpy as np
import pytest

from quaterion_models.search import nearest
from quaterion_models.search.given import unit_vectors
from quaterion_models.search.nearest import Nearest, best_first, joined, scan
from quaterion_models.search.stored_vectors import StoredVectors


def stored(rows):
    result = StoredVectors(rows.shape[1])
    result.append(list(range(len(rows))), unit_vectors(rows, rows.shape[1]), [b"[0,{}]"] * len(rows))
    return result


def found(store, queries, k, allowed=None):
    total = store.rows if allowed is None else int(allowed.sum())
    return best_first(
        store, queries, min(k, total), total, lambda some, count: scan(store, some, count, allowed), exact=True
    )


def plain(store, queries, k, allowed):
    """A loop: cosines in float64, rounded, of equal ones the first row."""
    rows = np.concatenate([block for _, block in store.blocks(10**6)]).astype(np.float64)
    result = []
    for query in queries.astype(np.float64):
        scores = [np.float32(np.clip((row * query).sum(), -1, 1)) for row in rows]
        result.append([row for _, row in sorted((-score, row) for row, score in enumerate(scores) if allowed[row])][:k])
    return result


@pytest.mark.parametrize("block", [1, 7, 64, 10**6])
@pytest.mark.parametrize("k", [1, 5, 40, 1000])
def test_blocks_of_any_size_find_what_a_loop_finds_with_ties_in_order(monkeypatch, block, k):
    monkeypatch.setattr(nearest, "_BLOCK_ROWS", (block, block))
    random = np.random.default_rng(block + k)
    # Few different vectors, each many times: nearly all places are ties.
    rows = random.standard_normal((12, 5))[random.integers(12, size=150)]
    queries, allowed = unit_vectors(random.standard_normal((6, 5)), 5), random.random(150) < 0.6
    store = stored(rows)
    assert found(store, queries, k).rows.tolist() == plain(store, queries, k, np.ones(150, bool))
    assert found(store, queries, k, allowed).rows.tolist() == plain(store, queries, k, allowed)


def test_what_rounding_of_the_fast_scores_hides_is_found(monkeypatch):
    # A finder whose scores are off by as much as rounding may do, and that therefore leaves out the best at first.
    random = np.random.default_rng(0)
    store = stored(np.ones((400, 16)) + 1e-6 * random.standard_normal((400, 16)))
    query = unit_vectors(np.ones((1, 16)), 16)
    asked = []

    def find(some, count):
        asked.append(count)
        exact = scan(store, some, 400, None)
        off = exact.scores + random.uniform(-1e-6, 1e-6, exact.scores.shape).astype(np.float32)
        best = np.argsort(-off, axis=1)[:, :count]
        return Nearest(np.take_along_axis(exact.rows, best, axis=1), np.take_along_axis(off, best, axis=1))

    result = best_first(store, query, 3, 400, find, exact=True)
    assert result.rows.tolist() == plain(store, query, 3, np.ones(400, bool))
    assert asked == [19, 152, 400]


def test_a_finder_that_is_not_exact_is_asked_once():
    store = stored(np.ones((100, 4)))
    asked = []

    def find(some, count):
        asked.append(count)
        return scan(store, some, count, None)

    best_first(store, unit_vectors(np.ones((1, 4)), 4), 2, 100, find, exact=False)
    assert asked == [18]


def test_where_a_finder_has_fewer_the_rest_is_marked():
    store = stored(np.eye(4))

    def find(some, count):
        return Nearest(np.full((1, count), -1), np.full((1, count), -np.inf, np.float32))

    result = best_first(store, unit_vectors(np.ones((1, 4)), 4), 2, 4, find, exact=False)
    assert result.rows.tolist() == [[-1, -1]]
    assert np.isneginf(result.scores).all()


def test_joined_keeps_the_best_of_both():
    one = Nearest(np.array([[1, -1]]), np.array([[0.5, -np.inf]], np.float32))
    other = Nearest(np.array([[7, 8, 9]]), np.array([[0.1, 0.9, 0.2]], np.float32))
    assert sorted(joined(one, other).rows[0].tolist()) == [1, 8]
