import math
from collections.abc import Callable

import pytest
import torch

from quaterion.functional.proxy_anchor import proxy_anchor_loss


def test_present_proxies_pull_and_all_proxies_push() -> None:
    proxies = torch.eye(3)
    embeddings = torch.tensor([[1.0, 0.0, 0.0], [0.6, 0.8, 0.0]])
    # Only proxy 0 is present. Cosines to it: 1 and 0.6; to proxy 1: 0 and 0.8; to proxy 2: 0 and 0.
    pull = math.log(1 + math.exp(-2 * (1 - 0.1)) + math.exp(-2 * (0.6 - 0.1)))
    push = math.log(1 + math.exp(2 * 0.1) + math.exp(2 * 0.9)) + math.log(1 + 2 * math.exp(2 * 0.1))
    loss = proxy_anchor_loss(embeddings, torch.tensor([0, 0]), proxies, alpha=2.0, margin=0.1)
    assert loss.item() == pytest.approx(pull + push / 3)


def test_unknown_groups_neither_pull_nor_push() -> None:
    proxies, embeddings, groups = torch.randn(3, 4), torch.randn(5, 4), torch.tensor([0, -1, 2, 1, -1])
    known = groups >= 0
    expected = proxy_anchor_loss(embeddings[known], groups[known], proxies)
    assert torch.allclose(proxy_anchor_loss(embeddings, groups, proxies), expected)


def test_blocks_of_proxies_change_nothing(compare_blocks: Callable[..., None]) -> None:
    proxies, groups = torch.randn(7, 5).double(), torch.arange(20) % 5
    compare_blocks(lambda x: proxy_anchor_loss(x, groups, proxies), torch.randn(20, 5))
