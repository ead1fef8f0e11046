import pytest
import torch

from quaterion.functional import rounded_similarity
from quaterion.functional.rounded_similarity import RoundedSimilarity, rows_at_once
from quaterion.functional.rounded_similarity import rounded_similarity as similarity_of_pairs
from quaterion.functional.similarity import METRICS, similarity_matrix


@pytest.mark.parametrize("metric", METRICS)
def test_it_is_the_float64_similarity_but_for_its_rounding(metric):
    generator = torch.Generator().manual_seed(0)
    queries, candidates = torch.randn(5, 7, generator=generator), torch.randn(9, 7, generator=generator)
    expected = similarity_matrix(queries.double(), candidates.double(), metric).float()
    assert torch.allclose(RoundedSimilarity(candidates, metric)(queries), expected, rtol=1e-7, atol=1e-7)


@pytest.mark.parametrize("length", [1e-20, 1.0, 3.7, 1e12])
@pytest.mark.parametrize("metric", ["cosine", "dot_product"])
def test_products_that_cancel_are_tied_with_zero(metric, length):
    # 0.1 + 0.2 − 0.3 is 5.6e-17 in float64, 0.2 + 0.1 − 0.3 and 0 are what they should be.
    query = length * torch.tensor([[0.1, 0.2, 0.3]], dtype=torch.float64)
    candidates = torch.tensor([[1.0, 1, -1], [3, 0, -1], [0, 3, -2], [-1, -1, 1]], dtype=torch.float64)
    assert RoundedSimilarity(candidates, metric)(query).tolist() == [[0.0] * 4]
    assert RoundedSimilarity(query, metric)(candidates).tolist() == [[0.0]] * 4


def test_rows_of_zeros_are_similar_to_nothing():
    zeros = torch.zeros(2, 3)
    for metric in ("cosine", "dot_product"):
        assert RoundedSimilarity(zeros, metric)(zeros).tolist() == [[0.0, 0.0], [0.0, 0.0]]


@pytest.mark.parametrize("metric", METRICS)
def test_equal_candidates_are_tied_however_queries_and_candidates_are_cut(metric, monkeypatch):
    generator = torch.Generator().manual_seed(1)
    distinct = torch.randn(40, 96, generator=generator)
    copies = torch.randint(40, (400,), generator=generator)
    candidates, queries = distinct[copies], torch.randn(33, 96, generator=generator)
    whole = RoundedSimilarity(candidates, metric)(queries)
    first_copy = torch.tensor([copies.tolist().index(number) for number in copies.tolist()])
    assert torch.equal(whole, whole[:, first_copy])
    one_by_one = torch.cat([RoundedSimilarity(candidates, metric)(query[None]) for query in queries])
    assert torch.equal(whole, one_by_one)
    monkeypatch.setattr(rounded_similarity, "WIDENED_ENTRIES", 0)
    monkeypatch.setattr(rounded_similarity, "CHUNK_ENTRIES", 7 * 96)
    assert torch.equal(whole, RoundedSimilarity(candidates, metric)(queries))


@pytest.mark.parametrize("scale", [1e-7, 1.0, 1e4])
@pytest.mark.parametrize("offset", [0.0, 10.0])
@pytest.mark.parametrize("near", [1e-6, 1e-4, 1e-2])
def test_copies_close_to_a_query_are_tied_whatever_the_scale_and_the_cut(scale, offset, near):
    generator = torch.Generator().manual_seed(3)
    queries = scale * (torch.randn(50, 96, generator=generator) + offset)
    candidates = (queries + scale * near * torch.randn(50, 96, generator=generator)).repeat(3, 1)
    whole = RoundedSimilarity(candidates, "euclidean").nearness(queries)
    assert torch.equal(whole, whole[:, :50].repeat(1, 3))
    for height in (1, 7):
        similarity = RoundedSimilarity(candidates, "euclidean")
        parts = [similarity.nearness(part) for part in queries.split(height)]
        assert torch.equal(whole, torch.cat(parts))


@pytest.mark.parametrize("scale", [1e-8, 1e-4, 1.0, 1e6])
@pytest.mark.parametrize("metric", ["euclidean", "manhattan"])
def test_distances_keep_their_digits_however_short_or_long(metric, scale):
    generator = torch.Generator().manual_seed(4)
    queries, candidates = (scale * torch.randn(count, 7, generator=generator) for count in (5, 9))
    expected = torch.cdist(queries.double(), candidates.double(), p=2 if metric == "euclidean" else 1)
    nearness = RoundedSimilarity(candidates, metric).nearness(queries)
    assert torch.allclose(-nearness.double() / scale, expected / scale, rtol=1e-6, atol=0)
    similarity = similarity_of_pairs(queries, candidates[:5], metric)
    assert torch.allclose((1 / similarity - 1) / scale, expected.diagonal() / scale, rtol=1e-6, atol=0)


def test_dot_products_beyond_float32_stay_finite():
    huge = torch.tensor([[1e30], [-1e30]])
    largest = torch.finfo(torch.float32).max
    assert RoundedSimilarity(huge, "dot_product")(huge).tolist() == [[largest, -largest], [-largest, largest]]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_embeddings_of_any_float_type_give_float32(dtype):
    x = torch.tensor([[3.0, 4.0], [4.0, 3.0]], dtype=dtype)
    assert torch.equal(RoundedSimilarity(x, "cosine")(x), torch.tensor([[1.0, 0.96], [0.96, 1.0]]))


@pytest.mark.parametrize("metric", METRICS)
def test_pairs_of_rows_have_the_similarities_of_the_matrix(metric, monkeypatch):
    generator = torch.Generator().manual_seed(2)
    x, y = torch.randn(2, 40, 7, generator=generator)
    expected = similarity_matrix(x.double(), y.double(), metric).diagonal()
    whole = similarity_of_pairs(x, y, metric)
    assert whole.dtype == torch.float64
    assert torch.allclose(whole.double(), expected, rtol=1e-7, atol=3e-8)
    monkeypatch.setattr(rounded_similarity, "CHUNK_ENTRIES", 3 * 7)
    assert torch.equal(similarity_of_pairs(x, y, metric), whole)


@pytest.mark.parametrize("metric", ["cosine", "dot_product"])
def test_pairs_whose_products_cancel_are_tied_with_zero(metric):
    query = torch.tensor([[0.1, 0.2, 0.3]], dtype=torch.float64).expand(4, -1)
    others = torch.tensor([[1.0, 1, -1], [3, 0, -1], [0, 3, -2], [-1, -1, 1]], dtype=torch.float64)
    assert similarity_of_pairs(query, others, metric).tolist() == [0.0] * 4


def test_pairs_with_huge_or_no_rows_stay_finite():
    largest = torch.finfo(torch.float32).max
    assert similarity_of_pairs(torch.tensor([[1e30]]), torch.tensor([[-1e30]]), "dot_product").tolist() == [-largest]
    assert similarity_of_pairs(torch.empty(0, 3), torch.empty(0, 3), "cosine").shape == (0,)


def test_a_block_never_exceeds_its_bound_as_long_as_one_row_fits():
    for candidates in (10, 1000, 10**6):
        for depth in (0, 10, candidates):
            rows = rows_at_once(candidates, depth, max_entries=10**6)
            assert rows == 1 or rows * (candidates + 12 * depth) <= 10**6
            assert rows >= 1


def test_many_candidates_still_share_a_block_with_several_queries():
    assert rows_at_once(num_candidates=10**7) == 32
