import pytest
import torch

from quaterion.functional.similarity import METRICS, similarity_matrix
from quaterion.functional.topk import top_k


def by_sorting(similarity, k, own=None):
    rows = []
    for number, row in enumerate(similarity.tolist()):
        others = [i for i in range(len(row)) if own is None or i != own[number]]
        rows.append(sorted(others, key=lambda i: (-row[i], i))[:k])
    return rows


@pytest.mark.parametrize("metric", METRICS)
def test_it_finds_what_sorting_finds_with_ties_by_row(metric):
    generator = torch.Generator().manual_seed(0)
    points = torch.randint(-1, 2, (40, 2), generator=generator).float()  # nine different points at most
    similarity = similarity_matrix(points, points, metric)
    own = torch.arange(40)
    for k in (1, 7, 39):
        found = top_k(points, points, k, metric=metric, own_rows=own)
        # Values of equal points may differ in the last bit; sort what was computed.
        assert found.rows.tolist() == by_sorting(similarity, k, own.tolist())
        assert torch.equal(found.similarities, similarity.gather(1, found.rows))


def test_blocks_change_nothing():
    generator = torch.Generator().manual_seed(1)
    queries = torch.randint(-2, 3, (23, 3), generator=generator).float()
    candidates = torch.randint(-2, 3, (31, 3), generator=generator).float()
    whole = top_k(queries, candidates, 5, metric="dot_product")
    parts = top_k(queries, candidates, 5, metric="dot_product", max_entries=1)
    assert torch.equal(whole.rows, parts.rows)
    assert torch.equal(whole.similarities, parts.similarities)


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
