"""The plain loops are what everything else is compared with: they themselves are held against numbers by hand."""

import math

import pytest
import torch

from quaterion.batch import GroupTargets, PairTargets
from quaterion.loss import (
    CenterLoss,
    ContrastiveLoss,
    CoSENTLoss,
    FastAPLoss,
    MultipleNegativesRankingLoss,
    SupConLoss,
    TripletLoss,
)
from quaterion.testing import plain_losses as plain

# On a line, with Manhattan distances: 0 and 1 are of one group, 3 and 7 of another.
LINE = torch.tensor([[0.0], [1.0], [3.0], [7.0]], dtype=torch.float64)
GROUPS = GroupTargets(torch.tensor([0, 0, 1, 1]))
RIGHT_ANGLES = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]], dtype=torch.float64)


@pytest.mark.parametrize(("mining", "expected"), [("hard", 5 / 4), ("semi_hard", 4 / 4), ("all", 8 / 3)])
def test_triplets(mining: str, expected: float) -> None:
    # The same numbers are derived in the tests of quaterion.functional.triplet.
    loss = TripletLoss(2.0, "manhattan", mining)  # type: ignore[arg-type]
    assert plain.plain_triplet(loss, LINE, GROUPS).item() == pytest.approx(expected)


def test_a_memory_takes_the_place_of_the_batch() -> None:
    loss, memory = TripletLoss(2.0, "manhattan"), (LINE[1:3] + 0.5, torch.tensor([0, 1]))
    # Candidates 1.5 of group 0 and 3.5 of group 1. Differences: 1.5 − 3.5, 0.5 − 2.5, 0.5 − 1.5, 3.5 − 5.5.
    assert plain.plain_triplet(loss, LINE, GROUPS, memory=memory).item() == pytest.approx(1 / 4)


def test_sup_con() -> None:
    value = plain.plain_sup_con(SupConLoss(1.0), RIGHT_ANGLES, GroupTargets(torch.tensor([0, 0, 1])))
    assert value.item() == pytest.approx(math.log(1 + math.exp(-1)))


def test_fast_ap() -> None:
    # For both objects of the pair: the positive in the first bin, alone.
    assert plain.plain_fast_ap(FastAPLoss(), RIGHT_ANGLES, GroupTargets(torch.tensor([0, 0, 1]))).item() == 0


def test_center() -> None:
    loss = CenterLoss(2, 2, lambda_c=0.5).double()
    loss.load_state_dict({"weight": torch.eye(2)})
    value = plain.plain_center(loss, RIGHT_ANGLES, GroupTargets(torch.tensor([0, 1, -1])))
    assert value.item() == pytest.approx(0.5 / 2 * (0 + 2) / 2)


def test_pairs() -> None:
    targets = PairTargets(
        torch.tensor([[0, 2], [1, 3]]),
        torch.tensor([1.0, 0.0]),
        torch.tensor([0, 1, 0, 1]),
        torch.arange(4),
        torch.zeros(0, 2).long(),
    )
    # Pairs at 3 and 6, of which the second should be farther than 5; nearest objects of the other subgroup, from rows
    # 0, 2 (at 0, 3) and 1, 3 (at 1, 7): 1, 2, 1, 4.
    value = plain.plain_contrastive(ContrastiveLoss("manhattan", margin=5.0), LINE, targets)
    assert value.item() == pytest.approx(0.5 * 9 / 2 + 0.5 * (16 + 9 + 16 + 1) / 4)

    rows = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0], [0.6, 0.8]], dtype=torch.float64)
    value = plain.plain_multiple_negatives_ranking(MultipleNegativesRankingLoss(1.0), rows, targets)
    expected = (math.log(1 + math.exp(0.6 - 1)) + math.log(1 + math.exp(0 - 0.8))) / 2
    assert value.item() == pytest.approx(expected)

    value = plain.plain_cosent(CoSENTLoss(2.0), rows, targets)
    assert value.item() == pytest.approx(math.log(1 + math.exp(2 * (0.8 - 1))))
