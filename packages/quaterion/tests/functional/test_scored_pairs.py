import math

import pytest
import torch

from quaterion.functional.scored_pairs import cosent_loss, cosine_similarity_loss

# Cosines of the pairs (0, 1), (0, 2), (1, 2): 0.6, 0, 0.8.
ROWS = torch.tensor([[1.0, 0.0], [0.6, 0.8], [0.0, 1.0]])
PAIRS = torch.tensor([[0, 1], [0, 2], [1, 2]])


def test_cosine_similarity_is_the_mean_squared_error() -> None:
    loss = cosine_similarity_loss(ROWS, PAIRS, torch.tensor([1.0, 0.5, 0.0]))
    assert loss.item() == pytest.approx((0.4**2 + 0.5**2 + 0.8**2) / 3)


def test_cosent_compares_each_pair_with_those_of_lower_score() -> None:
    loss = cosent_loss(ROWS, PAIRS, torch.tensor([0.9, 0.1, 0.5]), scale=2.0)
    expected = math.log(1 + math.exp(2 * (0 - 0.6)) + math.exp(2 * (0.8 - 0.6)) + math.exp(2 * (0 - 0.8)))
    assert loss.item() == pytest.approx(expected)


def test_cosent_does_not_compare_equal_scores() -> None:
    loss = cosent_loss(ROWS, PAIRS, torch.tensor([0.5, 0.1, 0.5]), scale=2.0)
    assert loss.item() == pytest.approx(math.log(1 + math.exp(2 * (0 - 0.6)) + math.exp(2 * (0 - 0.8))))
    assert cosent_loss(ROWS, PAIRS, torch.ones(3)).item() == 0


def test_cosent_stays_exact_with_many_pairs_and_a_large_scale() -> None:
    rows = torch.randn(400, 8).double().requires_grad_()
    pairs, scores = torch.arange(400).reshape(200, 2), torch.randint(0, 6, (200,)) / 5
    loss = cosent_loss(rows, pairs, scores, scale=300.0)
    similarities = torch.cosine_similarity(rows[pairs[:, 0]], rows[pairs[:, 1]])
    exponents = 300.0 * (similarities.unsqueeze(0) - similarities.unsqueeze(1))
    higher = scores.unsqueeze(1) > scores.unsqueeze(0)
    expected = torch.logsumexp(torch.cat([torch.zeros(1), exponents[higher]]), dim=0)
    assert torch.allclose(loss, expected)
    got, wanted = torch.autograd.grad(loss, rows)[0], torch.autograd.grad(expected, rows)[0]
    assert torch.allclose(got, wanted)
