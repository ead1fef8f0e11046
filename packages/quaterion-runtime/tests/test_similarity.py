import numpy as np
import pytest

from quaterion_runtime import (
    binary_similarity,
    cosine_similarity,
    int8_similarity,
    quantize,
    rescore,
    similarity,
    top_k,
)

RANDOM = np.random.default_rng(1)
QUERIES = RANDOM.normal(size=(7, 24)).astype(np.float32)
DOCUMENTS = RANDOM.normal(size=(90, 24)).astype(np.float32)


def test_cosines_are_those_of_a_plain_loop():
    expected = [[a @ b / np.sqrt((a @ a) * (b @ b)) for b in DOCUMENTS.astype(float)] for a in QUERIES.astype(float)]
    np.testing.assert_allclose(cosine_similarity(QUERIES, DOCUMENTS), expected, atol=1e-6)
    assert (cosine_similarity(np.zeros((1, 24)), DOCUMENTS) == 0).all()


def test_int8_similarity_is_the_cosine_of_the_whole_numbers():
    a, b = quantize(QUERIES, "int8"), quantize(DOCUMENTS, "int8")
    expected = cosine_similarity(a.astype(float), b.astype(float))
    np.testing.assert_allclose(int8_similarity(a, b), expected, atol=1e-6)
    np.testing.assert_allclose(int8_similarity(QUERIES, b), cosine_similarity(QUERIES, b.astype(float)), atol=1e-6)


def test_binary_similarity_counts_equal_signs():
    expected = [[np.mean(np.where((a > 0) == (b > 0), 1.0, -1.0)) for b in DOCUMENTS] for a in QUERIES]
    got = binary_similarity(quantize(QUERIES, "binary"), quantize(DOCUMENTS, "binary"))
    np.testing.assert_allclose(got, expected, atol=1e-6)


def test_many_binary_queries_give_exactly_what_each_gives_alone(monkeypatch):
    many, one = quantize(DOCUMENTS[:40], "binary"), quantize(DOCUMENTS, "binary")
    together = binary_similarity(many, one)
    assert (together == np.concatenate([binary_similarity(row[None], one) for row in many])).all()
    monkeypatch.setattr(similarity, "BLOCK_ROWS", 7)
    assert (binary_similarity(many, one) == together).all()
    # numpy 1 has no function to count bits.
    monkeypatch.delattr(np, "bitwise_count", raising=False)
    assert (binary_similarity(many[:3], one) == together[:3]).all()


@pytest.mark.parametrize("precision", ["float32", "int8"])
@pytest.mark.parametrize("block", [1, 20, 1000])
def test_candidates_are_put_into_the_order_of_their_cosines(monkeypatch, precision, block):
    monkeypatch.setattr(similarity, "BLOCK_ROWS", block)
    documents = quantize(np.concatenate([DOCUMENTS, DOCUMENTS]), precision)
    candidates = np.array([RANDOM.permutation(len(documents))[:12] for _ in QUERIES])
    candidates[:, 3] = candidates[:, 7] % len(DOCUMENTS)  # of equals the first candidate stays the first
    candidates[:, 7] = candidates[:, 3] + len(DOCUMENTS)
    rows, scores = rescore(QUERIES, documents, candidates, 5)
    assert rows.dtype == np.int64
    for query, some, best, cosines in zip(QUERIES, candidates, rows, scores, strict=True):
        own = cosine_similarity(query[None], documents[some])[0]
        expected = np.argsort(-own.round(5), kind="stable")[:5]
        assert best.tolist() == some[expected].tolist()
        np.testing.assert_allclose(cosines, own[expected], atol=1e-6)
    assert rescore(QUERIES, documents, candidates, 100)[0].shape == (7, 12)
    assert rescore(QUERIES[:0], documents, candidates[:0], 5)[0].shape == (0, 5)
    assert rescore(QUERIES, documents, candidates[:, :0], 5)[0].shape == (7, 0)


def test_binary_vectors_rescored_with_int8_keep_the_ten_nearest(tmp_path):
    groups = RANDOM.normal(size=(200, 128))
    documents = (groups[RANDOM.integers(0, 200, 5000)] + RANDOM.normal(size=(5000, 128))).astype(np.float32)
    queries = (groups[:50] + RANDOM.normal(size=(50, 128))).astype(np.float32)
    exact, _ = top_k(queries, documents, 10)
    binary, int8 = quantize(documents, "binary"), quantize(documents, "int8")
    np.save(tmp_path / "int8.npy", int8)
    candidates, _ = top_k(queries, binary, 100, similarity=binary_similarity)
    found, _ = rescore(queries, np.load(tmp_path / "int8.npy", mmap_mode="r"), candidates, 10)

    def recall(rows):
        return np.mean([len(set(a) & set(b)) / 10 for a, b in zip(rows, exact, strict=True)])

    assert recall(candidates[:, :10]) < 0.9 < 0.98 < recall(found)
    assert 32 * binary.nbytes == documents.nbytes


def test_candidates_that_do_not_fit_are_refused():
    for rows in (np.zeros((6, 2), dtype=int), np.zeros(7, dtype=int), np.zeros((7, 2))):
        with pytest.raises(ValueError, match=r"expected rows \[7, C\] of documents, got"):
            rescore(QUERIES, DOCUMENTS, rows, 1)
    for wrong in (-1, 90):
        with pytest.raises(ValueError, match=rf"rows must lie in 0\.\.89, they lie in {wrong}\.\.{wrong}"):
            rescore(QUERIES, DOCUMENTS, np.full((7, 1), wrong), 1)
    with pytest.raises(ValueError, match="matrices of one width"):
        rescore(QUERIES, quantize(DOCUMENTS, "binary"), np.zeros((7, 1), dtype=int), 1)
    with pytest.raises(ValueError, match="k must be a whole number of 1 or more, got 0"):
        rescore(QUERIES, DOCUMENTS, np.zeros((7, 1), dtype=int), 0)


def test_similarities_that_are_no_numbers_are_refused():
    broken = DOCUMENTS.copy()
    broken[3, 3] = np.nan
    with pytest.raises(ValueError, match="a similarity is NaN: expected vectors of finite numbers"):
        top_k(QUERIES, broken, 2)


def test_no_queries_and_no_documents_give_none():
    assert top_k(QUERIES[:0], DOCUMENTS, 3)[0].shape == (0, 3)
    assert top_k(QUERIES, DOCUMENTS[:0], 3)[0].shape == (7, 0)
    none = quantize(DOCUMENTS[:0], "binary")
    assert binary_similarity(quantize(QUERIES, "binary"), none).shape == (7, 0)
    assert binary_similarity(none, quantize(QUERIES, "binary")).shape == (0, 7)


def test_float_queries_are_compared_with_the_signs_of_binary_documents():
    signs = np.where(DOCUMENTS > 0, 1.0, -1.0)
    got = binary_similarity(QUERIES, quantize(DOCUMENTS, "binary"))
    np.testing.assert_allclose(got, cosine_similarity(QUERIES, signs), atol=1e-6)
    narrow = binary_similarity(QUERIES[:, :21], quantize(DOCUMENTS[:, :21], "binary"))
    np.testing.assert_allclose(narrow, cosine_similarity(QUERIES[:, :21], signs[:, :21]), atol=1e-6)


@pytest.mark.parametrize("block", [1, 5, 64, 1000])
@pytest.mark.parametrize("k", [1, 3, 90, 200])
def test_top_k_is_a_stable_sort_in_blocks_of_any_size(monkeypatch, block, k):
    monkeypatch.setattr(similarity, "BLOCK_ROWS", block)
    documents = np.concatenate([DOCUMENTS, DOCUMENTS[:40], -DOCUMENTS[:9]])  # ties, and negative similarities
    for kind, one, other in [
        (cosine_similarity, QUERIES, documents),
        (int8_similarity, quantize(QUERIES, "int8"), quantize(documents, "int8")),
        (binary_similarity, quantize(QUERIES, "binary"), quantize(documents, "binary")),
    ]:
        # Each pair on its own: a product of matrices may round equal rows differently.
        pairwise = lambda a, b, kind=kind: np.concatenate(  # noqa: E731
            [[kind(a[[i]], b[[j]])[0, 0] for j in range(len(b))] for i in range(len(a))]
        ).reshape(len(a), len(b))  # fmt: skip
        everything = pairwise(one, other)
        expected = np.argsort(-everything, axis=1, kind="stable")[:, :k]
        rows, scores = top_k(one, other, k, similarity=pairwise)
        assert (rows == expected).all()
        assert (scores == np.take_along_axis(everything, expected, axis=1)).all()


def test_zeros_of_either_sign_are_equal():
    def zeros(a, b):
        return np.array([[0.0, -0.0, 0.0, -0.0]], dtype=np.float32)

    assert top_k(np.zeros((1, 1)), np.zeros((4, 1)), 4, similarity=zeros)[0].tolist() == [[0, 1, 2, 3]]


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match=r"matrices of one width, got \[7, 24\] and \[90, 23\]"):
        cosine_similarity(QUERIES, DOCUMENTS[:, 1:])
    with pytest.raises(ValueError, match=r"binary vectors uint8 \[M, bytes\] on the right, got float32"):
        binary_similarity(QUERIES, DOCUMENTS)
    with pytest.raises(ValueError, match="do not fit binary ones"):
        binary_similarity(QUERIES, quantize(DOCUMENTS[:, :8], "binary"))
    with pytest.raises(ValueError, match="uint8 or float ones on the left, got int8"):
        binary_similarity(quantize(DOCUMENTS, "binary").astype(np.int8), quantize(DOCUMENTS, "binary"))
    with pytest.raises(ValueError, match="k must be a whole number of 1 or more, got 0"):
        top_k(QUERIES, DOCUMENTS, 0)
