"""The vote of neighbours, against a plain loop and scikit-learn."""

import math

import numpy as np
import pytest
import torch

from quaterion_models.predict import VectorSearch, knn_vote


def test_equals_a_plain_loop() -> None:
    generator = torch.Generator().manual_seed(0)
    similarities = torch.rand(20, 7, generator=generator, dtype=torch.float64) * 2 - 1
    groups = torch.randint(0, 5, (20, 7), generator=generator)
    found = knn_vote(similarities, groups, 6, temperature=0.3)
    for query in range(20):
        nearest = max(similarities[query].tolist())
        votes = [0.0] * 6
        for similarity, group in zip(similarities[query].tolist(), groups[query].tolist(), strict=True):
            votes[group] += math.exp((similarity - nearest) / 0.3)
        assert found[query].tolist() == pytest.approx([vote / sum(votes) for vote in votes])


def test_equals_scikit_learn_with_the_same_weights() -> None:
    neighbors = pytest.importorskip("sklearn.neighbors")
    generator = torch.Generator().manual_seed(1)
    examples, queries = (torch.nn.functional.normalize(torch.randn(n, 8, generator=generator)) for n in (200, 50))
    groups = torch.randint(0, 4, (200,), generator=generator)

    def weigh(distances: np.ndarray) -> np.ndarray:  # cosine distances are 1 - cosine
        return np.exp((distances.min(axis=1, keepdims=True) - distances) / 0.1)

    judge = neighbors.KNeighborsClassifier(10, weights=weigh, metric="cosine", algorithm="brute")
    expected = judge.fit(examples.numpy(), groups.numpy()).predict_proba(queries.numpy())
    found = VectorSearch(examples).find(queries, 10)
    votes = knn_vote(found.similarities, groups[found.rows], 4, temperature=0.1)
    assert votes.numpy() == pytest.approx(expected, abs=1e-5)


def test_an_example_that_is_none_has_no_vote_and_far_ones_do_not_overflow() -> None:
    similarities, groups = torch.tensor([[0.5, -torch.inf], [-1.0, -1.0]]), torch.tensor([[1, 0], [0, 1]])
    assert knn_vote(similarities, groups, 2, temperature=1e-6).tolist() == [[0.0, 1.0], [0.5, 0.5]]


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match=r"both \[Q, k\] with k of 1 or more, got \[2, 3\] and \[2, 2\]"):
        knn_vote(torch.zeros(2, 3), torch.zeros(2, 2, dtype=torch.int64), 2)
    with pytest.raises(ValueError, match=r"temperature must be a number above 0, such as 0.05, got 0"):
        knn_vote(torch.zeros(1, 1), torch.zeros(1, 1, dtype=torch.int64), 1, temperature=0)
