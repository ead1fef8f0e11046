import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from quaterion.functional.triplet import all_triplet_loss, hard_triplet_loss, semi_hard_triplet_loss

FORMULAS = [hard_triplet_loss, semi_hard_triplet_loss, all_triplet_loss]

# On a line, with Manhattan distances: 0 and 1 are of one group, 3 and 7 of another.
LINE = torch.tensor([[0.0], [1.0], [3.0], [7.0]])
GROUPS = torch.tensor([0, 0, 1, 1])


def test_hard_takes_the_farthest_positive_and_the_nearest_negative() -> None:
    # Positives at 1, 1, 4, 4; nearest negatives at 3, 2, 2, 6; with margin 2: 0, 1, 4, 0.
    assert hard_triplet_loss(LINE, GROUPS, margin=2.0, metric="manhattan").item() == 5 / 4


def test_soft_has_no_margin() -> None:
    expected = sum(math.log(1 + math.exp(x)) for x in (1 - 3, 1 - 2, 4 - 2, 4 - 6)) / 4
    loss = hard_triplet_loss(LINE, GROUPS, margin=100.0, metric="manhattan", soft=True)
    assert loss.item() == pytest.approx(expected)


def test_relative_divides_by_the_mean_nearest_negative_distance() -> None:
    # The mean of 3, 2, 2, 6 is 3.25; scaling all embeddings changes nothing.
    expected = sum(max(0.0, x / 3.25 + 0.5) for x in (1 - 3, 1 - 2, 4 - 2, 4 - 6)) / 4
    for factor in (1.0, 1000.0):
        loss = hard_triplet_loss(factor * LINE, GROUPS, margin=0.5, metric="manhattan", relative=True)
        assert loss.item() == pytest.approx(expected)


def test_semi_hard_takes_the_nearest_farther_negative_else_the_farthest() -> None:
    # 0: positive 1, negatives 3, 7 -> 3. 1: positive 1, negatives 2, 6 -> 2. 3: positive 4, negatives 3, 2 -> 3, the
    # farthest. 7: positive 4, negatives 7, 6 -> 6. With margin 2: 0, 1, 3, 0.
    assert semi_hard_triplet_loss(LINE, GROUPS, margin=2.0, metric="manhattan").item() == 4 / 4


def test_all_averages_the_triplets_with_positive_loss() -> None:
    # (1, 2): 1; (4, 3): 3; (4, 2): 4; all others are not positive with margin 2: (1, 3): 0 does not count.
    assert all_triplet_loss(LINE, GROUPS, margin=2.0, metric="manhattan").item() == pytest.approx(8 / 3)


def test_all_is_exact_where_many_distances_tie() -> None:
    embeddings = torch.randint(0, 2, (30, 2)).double()
    groups = torch.randint(0, 3, (30,))
    distances = torch.cdist(embeddings, embeddings, p=1)
    terms = [
        distances[i, p] - distances[i, n] + 0.5
        for i in range(30)
        for p in range(30)
        for n in range(30)
        if p != i and groups[p] == groups[i] and groups[n] != groups[i]
    ]
    expected = torch.stack([term for term in terms if term > 0]).mean()
    assert torch.allclose(all_triplet_loss(embeddings, groups, margin=0.5, metric="manhattan"), expected)


@pytest.mark.parametrize("formula", FORMULAS)
@pytest.mark.parametrize("metric", ["cosine", "euclidean", "manhattan", "dot_product"])
def test_blocks_of_rows_change_nothing(
    formula: Callable[..., Tensor], metric: str, compare_blocks: Callable[..., None]
) -> None:
    groups = torch.arange(20) % 4
    compare_blocks(lambda x: formula(x, groups, metric=metric, margin=1.0), torch.randn(20, 5))


@pytest.mark.parametrize("formula", FORMULAS)
def test_a_reference_replaces_the_batch_and_gets_its_own_gradient(formula: Callable[..., Tensor]) -> None:
    embeddings, groups = torch.randn(6, 4), torch.arange(6) % 2
    reference = torch.randn(9, 4, requires_grad=True)
    loss = formula(embeddings, groups, reference=reference, reference_groups=torch.arange(9) % 3)
    loss.backward()
    assert loss.item() > 0
    assert reference.grad is not None
    assert reference.grad.any()
