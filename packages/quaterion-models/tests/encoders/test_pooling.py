import pytest
import torch

from quaterion_models.encoders.pooling import POOLINGS, pool

LENGTHS = [3, 1, 5, 2]


def padded(side):
    """Random vectors of tokens, with large numbers where padding is."""
    hidden = torch.full((len(LENGTHS), max(LENGTHS), 4), 1e4)
    mask = torch.zeros(len(LENGTHS), max(LENGTHS), dtype=torch.int64)
    texts = [torch.randn(length, 4, generator=torch.Generator().manual_seed(length)) for length in LENGTHS]
    for row, text in enumerate(texts):
        part = slice(0, len(text)) if side == "right" else slice(max(LENGTHS) - len(text), None)
        hidden[row, part] = text
        mask[row, part] = 1
    return texts, hidden, mask


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("pooling", POOLINGS)
def test_padding_on_either_side_counts_for_nothing(side, pooling):
    texts, hidden, mask = padded(side)
    by_hand = {"mean": lambda text: sum(text) / len(text), "cls": lambda text: text[0], "last_token": lambda t: t[-1]}
    expected = torch.stack([by_hand[pooling](text) for text in texts])
    torch.testing.assert_close(pool(hidden, mask, pooling), expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("pooling", POOLINGS)
def test_no_mask_is_a_mask_of_ones(pooling):
    hidden = torch.randn(3, 4, 5)
    ones = torch.ones(3, 4, dtype=torch.int64)
    torch.testing.assert_close(pool(hidden, None, pooling), pool(hidden, ones, pooling))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("with_mask", [True, False])
def test_a_mean_of_half_precision_is_summed_in_float32(dtype, with_mask):
    # In float16 the sum would be infinite; in bfloat16 ones would be lost beside it.
    hidden = torch.tensor([[[40_000.0], [40_000.0], [1.0], [1.0]]], dtype=dtype)
    mask = torch.ones(1, 4, dtype=torch.int64) if with_mask else None
    mean = pool(hidden, mask, "mean")
    assert mean.dtype == torch.float32
    assert mean.item() == sum(hidden.double().flatten().tolist()) / 4


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_autocast_does_not_sum_in_half_precision(dtype):
    # The sums would be 90,000, infinite in float16, and 257 ones, 256 or 258 in bfloat16.
    hidden = torch.stack([torch.full((300, 2), 300.0), torch.ones(300, 2)])
    mask = (torch.arange(300) < torch.tensor([[300], [257]])).long()
    with torch.autocast("cpu", dtype):
        mean = pool(hidden.to(dtype), mask, "mean")
    assert mean.tolist() == [[300.0, 300.0], [1.0, 1.0]]


def test_a_row_without_tokens_is_zero_and_not_nan():
    assert pool(torch.ones(1, 2, 3), torch.zeros(1, 2, dtype=torch.int64), "mean").tolist() == [[0.0, 0.0, 0.0]]


@pytest.mark.parametrize("pooling", POOLINGS)
def test_gradients_reach_the_pooled_tokens_alone(pooling):
    _, hidden, mask = padded("right")
    hidden.requires_grad_()
    pool(hidden, mask, pooling).sum().backward()
    reached = hidden.grad.abs().sum(2) > 0
    expected = mask.bool() if pooling == "mean" else torch.zeros_like(mask).bool()
    if pooling != "mean":
        places = [0] * len(LENGTHS) if pooling == "cls" else [length - 1 for length in LENGTHS]
        expected[range(len(LENGTHS)), places] = True
    assert torch.equal(reached, expected)
