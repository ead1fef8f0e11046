from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from quaterion.functional.contrastive import (
    contrastive_loss,
    hard_online_contrastive_loss,
    online_contrastive_loss,
)

# On a line, with Manhattan distances.
LINE = torch.tensor([[0.0], [4.0], [1.0], [6.0]])


def test_pairs_and_nearest_objects_of_other_subgroups() -> None:
    pairs, scores, subgroups = torch.tensor([[0, 2], [1, 3]]), torch.tensor([1.0, 0.0]), torch.tensor([0, 1, 0, 1])
    # Pairs: d = 1, score 1: ½·1². d = 2, score 0: ½·[5 − 2]².
    # Objects 0, 4, 1, 6 have their nearest of the other subgroup at 4, 3, 3, 5: ½·(1², 2², 2², 0²).
    of_pairs, of_objects = 0.5 * 1 + 0.5 * 9, 0.5 * (1 + 4 + 4 + 0)
    mean = contrastive_loss(LINE, pairs, scores, subgroups, margin=5.0, metric="manhattan")
    assert mean.item() == of_pairs / 2 + of_objects / 4
    total = contrastive_loss(LINE, pairs, scores, subgroups, margin=5.0, metric="manhattan", size_average=False)
    assert total.item() == of_pairs + of_objects


def test_one_subgroup_leaves_the_pairs_alone() -> None:
    pairs, scores = torch.tensor([[0, 2], [1, 3]]), torch.tensor([1.0, 0.0])
    loss = contrastive_loss(LINE, pairs, scores, torch.zeros(4), margin=5.0, metric="manhattan")
    assert loss.item() == (0.5 * 1 + 0.5 * 9) / 2


def test_rows_that_are_in_no_pair_do_not_count() -> None:
    pairs, scores, subgroups = torch.tensor([[0, 1]]), torch.ones(1), torch.tensor([0, 0, 1, 1])
    assert contrastive_loss(LINE, pairs, scores, subgroups, metric="manhattan").item() == 0.5 * 4**2


def test_online_averages_positive_and_negative_pairs_apart() -> None:
    groups = torch.tensor([0, 1, 0, 1])
    # Positive pairs: 1 and 2. Negative pairs: 0-4: 4, 0-6: 6, 1-4: 3, 1-6: 5; with margin 5: 1², 0, 2², 0.
    all_pairs = online_contrastive_loss(LINE, groups, margin=5.0, metric="manhattan")
    assert all_pairs.item() == 0.5 * ((1 + 4) / 2 + (1 + 0 + 4 + 0) / 4)
    # Nearest negatives of 0, 4, 1, 6: 4, 3, 3, 5; each has one positive.
    hard = hard_online_contrastive_loss(LINE, groups, margin=5.0, metric="manhattan")
    assert hard.item() == 0.5 * ((1 + 4 + 1 + 4) / 4 + (1 + 4 + 4 + 0) / 4)


def test_each_mean_has_its_own_valid_set() -> None:
    groups = torch.tensor([0, 0, 1])
    line = torch.tensor([[0.0], [2.0], [3.0]])
    # Two objects have a positive, at 2; three have a negative, nearest at 3, 1, 1.
    loss = hard_online_contrastive_loss(line, groups, margin=2.0, metric="manhattan")
    assert loss.item() == pytest.approx(0.5 * (4 + (0 + 1 + 1) / 3))


@pytest.mark.parametrize("formula", [online_contrastive_loss, hard_online_contrastive_loss])
@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_blocks_of_rows_change_nothing(
    formula: Callable[..., Tensor], metric: str, compare_blocks: Callable[..., None]
) -> None:
    groups = torch.arange(20) % 4
    compare_blocks(lambda x: formula(x, groups, metric=metric, margin=1.0), torch.randn(20, 5))


def test_blocks_change_nothing_for_pairs(compare_blocks: Callable[..., None]) -> None:
    pairs = torch.arange(20).reshape(2, 10).T
    subgroups = torch.arange(10).repeat(2)
    compare_blocks(lambda x: contrastive_loss(x, pairs, torch.ones(10), subgroups), torch.randn(20, 5))
