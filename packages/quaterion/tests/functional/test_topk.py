import sys

import pytest
import torch

from quaterion.functional import topk
from quaterion.functional.similarity import METRICS, distance_matrix, similarity_matrix
from quaterion.functional.topk import top_k


def by_sorting(similarity, k, own=None):
    rows = []
    for number, row in enumerate(similarity.tolist()):
        others = [i for i in range(len(row)) if own is None or i != own[number]]
        rows.append(sorted(others, key=lambda i: (-row[i], i))[:k])
    return rows


def nearness(points, metric):
    """The similarities, or the negative distances that order as they do."""
    matrix = similarity_matrix if metric in ("cosine", "dot_product") else distance_matrix
    return matrix(points, points, metric) * (1 if matrix is similarity_matrix else -1)


@pytest.mark.parametrize("metric", METRICS)
def test_it_finds_what_sorting_finds_with_ties_by_row(metric):
    generator = torch.Generator().manual_seed(0)
    points = torch.randint(-1, 2, (40, 2), generator=generator).float()  # nine different points at most
    similarity = similarity_matrix(points, points, metric)
    own = torch.arange(40)
    for k in (1, 7, 39):
        found = top_k(points, points, k, metric=metric, own_rows=own)
        # Values of equal points may differ in the last bit; sort what was computed.
        assert found.rows.tolist() == by_sorting(nearness(points, metric), k, own.tolist())
        assert torch.equal(found.similarities, similarity.gather(1, found.rows))


def test_blocks_change_nothing():
    generator = torch.Generator().manual_seed(1)
    queries = torch.randint(-2, 3, (23, 3), generator=generator).float()
    candidates = torch.randint(-2, 3, (31, 3), generator=generator).float()
    whole = top_k(queries, candidates, 5, metric="dot_product")
    parts = top_k(queries, candidates, 5, metric="dot_product", max_entries=1)
    assert torch.equal(whole.rows, parts.rows)
    assert torch.equal(whole.similarities, parts.similarities)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("scale", [1e-7, 1.0, 1e6])
def test_the_scale_of_the_vectors_does_not_matter(metric, scale):
    points = torch.randn(60, 4, generator=torch.Generator().manual_seed(5))
    found = top_k(scale * points, scale * points, 5, metric=metric)
    assert found.rows.tolist() == by_sorting(nearness(points, metric), 5)


@pytest.mark.parametrize("backend", ["torch", "faiss"])
def test_it_says_how_far_it_is(backend, monkeypatch):
    pytest.importorskip("faiss")
    monkeypatch.setattr("quaterion.functional.faiss_search.CHUNK_ROWS", 8)
    points = torch.randn(20, 3, generator=torch.Generator().manual_seed(6))
    searched = []
    found = top_k(points, points, 2, max_entries=8 * 44, backend=backend, advance=searched.append)
    assert searched == [8, 8, 4]
    assert torch.equal(found.rows, top_k(points, points, 2).rows)


@pytest.mark.parametrize("types", [(torch.float64, torch.float32), (torch.float32, torch.float64)])
def test_vectors_of_two_types_are_compared_in_the_wider_one(types):
    points = torch.randn(9, 3, generator=torch.Generator().manual_seed(7))
    found = top_k(points.to(types[0]), points.to(types[1]), 3)
    assert found.similarities.dtype == torch.float64
    assert torch.equal(found.rows, top_k(points, points, 3).rows)


def test_nearest_puts_the_leftmost_of_equal_ones_first_and_minus_infinity_last():
    generator = torch.Generator().manual_seed(0)
    for width in (20, 700):  # the wider one is looked through by stripes
        block = torch.randint(0, 4, (50, width), generator=generator).float()
        block[block == 0] = -torch.inf
        block[:9, 2:] = -torch.inf
        for k in (1, 5, 20):
            values, columns = topk.nearest(block.clone(), k)
            for row, (row_values, row_columns) in enumerate(zip(values.tolist(), columns.tolist(), strict=True)):
                expected = sorted(range(width), key=lambda i: -block[row, i])[:k]
                assert row_values == block[row, expected].tolist()
                finite = sum(value > float("-inf") for value in row_values)
                assert row_columns[:finite] == expected[:finite]


def test_a_query_that_is_no_candidate_may_find_every_candidate():
    assert top_k(torch.tensor([[1.0, 0.5]]), torch.eye(2), 2).rows.tolist() == [[0, 1]]


def test_no_query_finds_nothing():
    found = top_k(torch.empty(0, 2), torch.eye(2), 1)
    assert found.rows.shape == found.similarities.shape == (0, 1)


@pytest.mark.parametrize("k", [0, -1, 3])
def test_a_k_that_no_list_has_is_refused(k):
    with pytest.raises(ValueError, match=rf"k={k}, but there are 2 candidates. Expected k in 1..2"):
        top_k(torch.eye(2), torch.eye(2), k)


def test_a_query_is_not_its_own_candidate():
    with pytest.raises(ValueError, match=r"k=2, but there are 1 candidates"):
        top_k(torch.eye(2), torch.eye(2), 2, own_rows=torch.arange(2))


@pytest.mark.parametrize("levels", [1, 3, 1000])
@pytest.mark.parametrize("count", [319, 640, 1311])  # 640 is a multiple of the stripes, the others leave some columns
@pytest.mark.parametrize("k", [1, 5, 9, 30])
def test_looking_at_the_maxima_of_stripes_first_loses_nothing(levels, count, k):
    generator = torch.Generator().manual_seed(levels + count)
    candidates = torch.randint(-levels, levels + 1, (count, 3), generator=generator).float()
    queries = torch.randint(-levels, levels + 1, (17, 3), generator=generator).float()
    similarity = queries @ candidates.T  # exact: these are small integers
    own = torch.randint(count, (17,), generator=generator)
    for own_rows in (None, own):
        found = top_k(queries, candidates, k, metric="dot_product", own_rows=own_rows)
        assert found.rows.tolist() == by_sorting(similarity, k, None if own_rows is None else own.tolist())
        assert torch.equal(found.similarities, similarity.gather(1, found.rows))


def test_of_many_equal_candidates_the_lowest_rows_are_taken():
    # Were ties taken from any stripe, rows above 20 would come in: all stripes have the same maximum.
    found = top_k(torch.ones(3, 2), torch.ones(1000, 2), 5, own_rows=torch.tensor([0, 2, 999]))
    assert found.rows.tolist() == [[1, 2, 3, 4, 5], [0, 1, 3, 4, 5], [0, 1, 2, 3, 4]]


def test_a_block_never_exceeds_its_bound(monkeypatch):
    largest = 0
    nearest = topk.nearest

    def measured(block, k):
        nonlocal largest
        largest = max(largest, block.numel())
        return nearest(block, k)

    monkeypatch.setattr(topk, "nearest", measured)
    monkeypatch.setattr("quaterion.functional.rounded_similarity.MIN_ENTRIES", 0)
    points = torch.randn(700, 4, generator=torch.Generator().manual_seed(2))
    by_default = top_k(points, points, 3)
    assert largest == topk.ROWS * 700
    bounded = top_k(points, points, 3, max_entries=50_000)
    assert torch.equal(by_default.rows, bounded.rows)
    largest = 0
    monkeypatch.setattr(topk, "MOST_ENTRIES", 40 * 700)
    top_k(points, points, 3)
    assert largest == 40 * 700


@pytest.mark.parametrize("backend", ["torch", "faiss", "auto"])
@pytest.mark.parametrize("metric", ["cosine", "dot_product"])
def test_every_backend_gives_the_same_rows_ties_by_the_lower_one(backend, metric):
    generator = torch.Generator().manual_seed(3)
    # Of signs of one or two coordinates a cosine is 0, ±1 or ±√½: hundreds of ties, negative ones too.
    points = torch.randint(-1, 2, (400, 2), generator=generator).float()
    own = torch.arange(400)
    expected = top_k(points, points, 12, metric=metric, own_rows=own)
    found = top_k(points, points, 12, metric=metric, own_rows=own, backend=backend)
    assert torch.equal(found.rows, expected.rows)
    assert torch.allclose(found.similarities, expected.similarities, atol=1e-6)
    continuous = torch.randn(300, 16, generator=generator)
    for k in (1, 10, 300):
        expected = top_k(continuous[:50], continuous, k, metric=metric)
        found = top_k(continuous[:50], continuous, k, metric=metric, backend=backend)
        assert torch.equal(found.rows, expected.rows)
        assert torch.allclose(found.similarities, expected.similarities, atol=1e-5)


def test_what_a_tie_leaves_to_faiss_is_searched_again(monkeypatch):
    pytest.importorskip("faiss")
    points = torch.tensor([[1.0, 0], [0, 1], [1, 0], [1, 0], [0, 1]])
    chance = torch.ones(5, 1), torch.full((5, 1), 4), torch.tensor([True, False, False, True, False])
    monkeypatch.setattr(topk, "faiss_top_k", lambda *_: chance)
    found = top_k(points, points, 1, own_rows=torch.arange(5), backend="faiss")
    assert found.rows.tolist() == [[2], [4], [4], [0], [4]]


def test_auto_is_faiss_where_torch_has_no_fast_products(monkeypatch):
    pytest.importorskip("faiss")
    asked = []
    monkeypatch.setattr(topk, "faiss_top_k", lambda *arguments: asked.append(arguments) or topk_of(arguments))
    monkeypatch.setattr(torch.backends.mkl, "is_available", lambda: False)

    def topk_of(arguments):
        queries, candidates, k, own, _ = arguments
        return *topk._search(queries, candidates, k, "dot_product", own, None), torch.zeros(len(queries)).bool()

    points = torch.randn(9, 3, generator=torch.Generator().manual_seed(4))
    assert torch.equal(top_k(points, points, 2, backend="auto").rows, top_k(points, points, 2).rows)
    assert len(asked) == 1
    top_k(points, points, 2, metric="manhattan", backend="auto")
    top_k(points.double(), points.double(), 2, backend="auto")
    assert len(asked) == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"metric": "euclidean"}, "faiss cannot search this: its index of inner products knows no euclidean"),
        ({"queries": torch.eye(3).double()}, "computes in float32, and the vectors are float64. Use backend='torch'"),
        ({"backend": "annoy"}, "backend='annoy'; expected 'torch', 'faiss' or 'auto'"),
    ],
)
def test_what_faiss_cannot_search_is_refused(change, message):
    with pytest.raises(ValueError, match=message):
        top_k(**({"queries": torch.eye(3), "candidates": torch.eye(3), "k": 1, "backend": "faiss"} | change))


def test_faiss_that_is_not_installed_is_asked_for(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    monkeypatch.delitem(sys.modules, "faiss", raising=False)
    with pytest.raises(ImportError, match=r'pip install "quaterion\[faiss\]"'):
        top_k(torch.eye(3), torch.eye(3), 1, backend="faiss")
    assert top_k(torch.eye(3), torch.eye(3), 1, backend="auto").rows.tolist() == [[0], [1], [2]]


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
@pytest.mark.parametrize("backend", ["torch", "faiss"])
def test_vectors_that_are_not_finite_are_named(value, backend):
    wrong = torch.eye(4)
    wrong[2, 1] = wrong[3, 3] = value
    with pytest.raises(ValueError, match=r"2 of 4 candidates hold NaN or infinity, the first in row 2. Expected"):
        top_k(torch.eye(4), wrong, 1, backend=backend)
    with pytest.raises(ValueError, match=r"2 of 4 queries hold NaN"):
        top_k(wrong, torch.eye(4), 1, backend=backend)
