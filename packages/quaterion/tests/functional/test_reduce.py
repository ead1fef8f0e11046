import math

import torch

from quaterion.functional.reduce import masked_logsumexp, masked_mean, masked_sum, ratio, zero_loss


def test_zero_loss_is_exactly_zero_even_of_infinite_or_missing_embeddings() -> None:
    for embeddings in (torch.full((2, 2), torch.inf), torch.zeros(0, 3), torch.ones(2, 2, dtype=torch.bfloat16)):
        embeddings.requires_grad_()
        loss = zero_loss(embeddings)
        loss.backward()
        assert loss.item() == 0
        assert loss.dtype == torch.float32
        assert embeddings.grad is not None
        assert not embeddings.grad.any()


def test_masked_sums_and_means_ignore_what_is_infinite_or_not_a_number() -> None:
    values, mask = torch.tensor([[1.0, torch.inf], [2.0, torch.nan]]), torch.tensor([[True, False]] * 2)
    assert masked_sum(values, mask).item() == 3
    assert masked_sum(values, mask, dim=1).tolist() == [1, 2]
    assert masked_mean(values, mask).item() == 1.5


def test_the_mean_of_nothing_is_zero_with_a_gradient_of_zero() -> None:
    values = torch.ones(3, requires_grad=True)
    mean = masked_mean(values, torch.zeros(3, dtype=torch.bool))
    mean.backward()
    assert mean.item() == 0
    assert values.grad is not None
    assert not values.grad.any()


def test_ratio_divides_where_there_is_something() -> None:
    assert ratio(torch.tensor([6.0, 0.0]), torch.tensor([4, 0])).tolist() == [1.5, 0.0]


def test_masked_logsumexp_sums_over_what_the_mask_holds() -> None:
    values = torch.tensor([[0.0, 1.0, 1000.0], [1.0, 2.0, 3.0]], requires_grad=True)
    mask = torch.tensor([[True, True, False], [False, False, False]])
    result = masked_logsumexp(values, mask)
    assert torch.allclose(result, torch.tensor([math.log(1 + math.e), 0.0]))
    result.sum().backward()
    assert values.grad is not None
    softmax = torch.tensor([1.0, math.e]) / (1 + math.e)
    assert torch.allclose(values.grad, torch.tensor([[softmax[0], softmax[1], 0.0], [0.0, 0.0, 0.0]]))
