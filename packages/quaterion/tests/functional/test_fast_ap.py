from collections.abc import Callable

import pytest
import torch

from quaterion.functional.fast_ap import fast_ap_loss


def test_average_precision_by_hand() -> None:
    # Squared distances from the first object: its positive at 2 (right angle), negatives at 0 (same) and 4 (opposite).
    # With two bins, centred at 0, 2, 4: AP = h⁺/H = 1 / 2. The third object is seen once.
    embeddings = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0], [-1.0, 0.0]])
    groups = torch.tensor([0, 0, 1, 2])
    # From the second object: the positive at 2, both negatives at 2: one bin of three, AP = 1 / 3.
    assert fast_ap_loss(embeddings, groups, num_bins=2).item() == pytest.approx(1 - (1 / 2 + 1 / 3) / 2)


def test_distances_between_bins_count_in_both() -> None:
    # A positive at squared distance 1 lies half in the bin at 0 and half in that at 2; a negative at 2.
    c = 0.5  # cosine of squared distance 1
    embeddings = torch.tensor([[1.0, 0.0], [c, (1 - c**2) ** 0.5], [0.0, -1.0]])
    positives = torch.tensor([0.5, 1.0, 1.0])  # H⁺ at 0, 2, 4
    everything = positives + torch.tensor([0.0, 1.0, 1.0])
    first = (0.5 * positives[0] / everything[0] + 0.5 * positives[1] / everything[1]).item()
    # From the second object, the negative is at 2 − 2·(−√¾), between 2 and 4.
    share = 1 - abs(2 + 2 * 0.75**0.5 - 2) / 2
    everything = positives + torch.tensor([0.0, share, 1.0])
    second = (0.5 * positives[0] / everything[0] + 0.5 * positives[1] / everything[1]).item()
    loss = fast_ap_loss(embeddings, torch.tensor([0, 0, 1]), num_bins=2)
    assert loss.item() == pytest.approx(1 - (first + second) / 2, abs=1e-6)


def test_blocks_of_rows_change_nothing(compare_blocks: Callable[..., None]) -> None:
    groups = torch.arange(20) % 4
    compare_blocks(lambda x: fast_ap_loss(x, groups), torch.randn(20, 5))
