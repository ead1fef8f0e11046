import math
from collections.abc import Callable

import pytest
import torch

from quaterion.functional.multi_similarity import multi_similarity_loss


def test_only_pairs_harder_than_some_pair_of_the_other_kind_count() -> None:
    embeddings = torch.tensor([[1.0, 0.0], [0.6, 0.8], [0.8, 0.6]])
    groups = torch.tensor([0, 0, 1])
    # First: s_p = 0.6, s_n = 0.8: both are hard. Second: s_p = 0.6, s_n = 0.96: both. Third: no positive, none.
    expected = (
        2 * math.log(1 + math.exp(-2 * (0.6 - 0.5))) / 2
        + math.log(1 + math.exp(50 * (0.8 - 0.5))) / 50
        + math.log(1 + math.exp(50 * (0.96 - 0.5))) / 50
    ) / 3
    assert multi_similarity_loss(embeddings, groups).item() == pytest.approx(expected)


def test_easy_pairs_do_not_count_but_their_anchors_do() -> None:
    # Two tight pairs, far apart: nothing is mined.
    embeddings = torch.tensor([[1.0, 0.0], [1.0, 0.1], [-1.0, 0.0], [-1.0, 0.1]])
    assert multi_similarity_loss(embeddings, torch.tensor([0, 0, 1, 1])).item() == 0


def test_blocks_of_rows_change_nothing(compare_blocks: Callable[..., None]) -> None:
    groups = torch.arange(20) % 4
    compare_blocks(lambda x: multi_similarity_loss(x, groups), torch.randn(20, 5))
