import pytest
import torch

pytest.importorskip("faiss")

from quaterion.functional import faiss_search
from quaterion.functional.faiss_search import faiss_refusal, faiss_top_k


def test_it_finds_what_sorting_finds_and_leaves_a_querys_own_row_out():
    generator = torch.Generator().manual_seed(0)
    points = torch.randn(60, 5, generator=generator)
    similarity = points @ points.T
    own = torch.arange(60)
    similarity[own, own] = -torch.inf
    found = faiss_top_k(points, points, 7, own)
    assert torch.equal(found.rows, similarity.argsort(dim=1, descending=True)[:, :7])
    assert torch.allclose(found.similarities, similarity.gather(1, found.rows), atol=1e-6)
    assert not found.doubtful.any()


def test_a_tie_that_reaches_beyond_the_k_is_in_doubt_and_one_within_is_in_order():
    candidates = torch.tensor([[0.0, 1], [1, 0], [0, 1], [1, 0], [1, 0], [-1, 0]])
    queries = torch.tensor([[1.0, 0.5], [0.5, 1]])
    # The first finds rows 1, 3 and 4 at 1, then 0 and 2; the second finds 0 and 2 at 1, then 1, 3 and 4.
    two, three, five = (faiss_top_k(queries, candidates, k) for k in (2, 3, 5))
    assert two.doubtful.tolist() == [True, False]
    assert three.doubtful.tolist() == [False, True]
    assert five.doubtful.tolist() == [False, False]
    assert two.rows[1].tolist() == [0, 2]
    assert five.rows.tolist() == [[1, 3, 4, 0, 2], [0, 2, 1, 3, 4]]


def test_parts_change_nothing(monkeypatch):
    points = torch.randn(50, 4, generator=torch.Generator().manual_seed(1))
    whole = faiss_top_k(points, points, 3, torch.arange(50))
    monkeypatch.setattr(faiss_search, "CHUNK_ROWS", 7)
    for one, other in zip(whole, faiss_top_k(points, points, 3, torch.arange(50)), strict=True):
        assert torch.equal(one, other)


def test_no_query_finds_nothing():
    found = faiss_top_k(torch.empty(0, 2), torch.eye(2), 1)
    assert found.rows.shape == found.similarities.shape == (0, 1)
    assert found.doubtful.shape == (0,)


def test_it_says_what_it_cannot_search():
    x = torch.eye(2)
    assert faiss_refusal(x, x, "cosine", must_be_there=True) is None
    assert "manhattan" in faiss_refusal(x, x, "manhattan", must_be_there=False)
    assert "float64" in faiss_refusal(x, x.double(), "cosine", must_be_there=False)
    assert "on meta" in faiss_refusal(x.to("meta"), x.to("meta"), "cosine", must_be_there=False)
