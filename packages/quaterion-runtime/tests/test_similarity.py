import numpy as np
import pytest

from quaterion_runtime import binary_similarity, cosine_similarity, int8_similarity, quantize, similarity, top_k

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
    with pytest.raises(ValueError, match="k must be a whole number of 1 or more, got 0"):
        top_k(QUERIES, DOCUMENTS, 0)
