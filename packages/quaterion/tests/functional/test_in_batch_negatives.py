import math
from collections.abc import Callable

import pytest
import torch

from quaterion.functional.in_batch_negatives import multiple_negatives_ranking_loss

PAIRS = torch.tensor([[0, 2], [1, 3]])
# Anchors (1, 0) and (0, 1), partners (1, 0) and (0.6, 0.8), an explicit negative (0.8, 0.6).
ROWS = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0], [0.6, 0.8], [0.8, 0.6]])
NEGATIVES = torch.tensor([[0, 4]])


def cross_entropy(target: float, *others: float) -> float:
    return math.log(sum(math.exp(s) for s in (target, *others))) - target


def test_candidates_are_all_partners() -> None:
    loss = multiple_negatives_ranking_loss(ROWS[:4], PAIRS, scale=1.0)
    assert loss.item() == pytest.approx((cross_entropy(1, 0.6) + cross_entropy(0.8, 0)) / 2)


def test_symmetric_adds_the_other_direction_and_halves() -> None:
    forward = (cross_entropy(1, 0.6) + cross_entropy(0.8, 0)) / 2
    backward = (cross_entropy(1, 0) + cross_entropy(0.8, 0.6)) / 2
    loss = multiple_negatives_ranking_loss(ROWS[:4], PAIRS, scale=1.0, symmetric=True)
    assert loss.item() == pytest.approx((forward + backward) / 2)


def test_explicit_negatives_are_candidates_of_every_anchor() -> None:
    loss = multiple_negatives_ranking_loss(ROWS, PAIRS, scale=1.0, negatives=NEGATIVES)
    assert loss.item() == pytest.approx((cross_entropy(1, 0.6, 0.8) + cross_entropy(0.8, 0, 0.6)) / 2)


def test_objects_equal_to_the_partner_are_no_negatives() -> None:
    ids = torch.tensor([0, 1, 2, 2, 2])  # both partners and the explicit negative are one object
    loss = multiple_negatives_ranking_loss(ROWS, PAIRS, scale=1.0, negatives=NEGATIVES, ids=ids)
    assert loss.item() == 0
    ids = torch.tensor([0, 1, 2, 3, 3])  # the negative is the second partner
    loss = multiple_negatives_ranking_loss(ROWS, PAIRS, scale=1.0, negatives=NEGATIVES, ids=ids)
    assert loss.item() == pytest.approx((cross_entropy(1, 0.6, 0.8) + cross_entropy(0.8, 0)) / 2)


def test_objects_equal_to_the_anchor_are_no_negatives() -> None:
    ids = torch.tensor([0, 1, 2, 0, 1])  # the second partner is the first anchor, the negative the second one
    loss = multiple_negatives_ranking_loss(ROWS, PAIRS, scale=1.0, negatives=NEGATIVES, ids=ids)
    assert loss.item() == pytest.approx((cross_entropy(1, 0.8) + cross_entropy(0.8, 0)) / 2)
    both_ways = multiple_negatives_ranking_loss(ROWS[:4], PAIRS, scale=1.0, ids=ids[:4], symmetric=True)
    backward = (cross_entropy(1, 0) + cross_entropy(0.8)) / 2
    assert both_ways.item() == pytest.approx(((cross_entropy(1) + cross_entropy(0.8, 0)) / 2 + backward) / 2)
    itself = multiple_negatives_ranking_loss(ROWS[:4], PAIRS, scale=1.0, ids=torch.tensor([0, 1, 0, 3]))
    assert itself.item() == pytest.approx((cross_entropy(1, 0.6) + cross_entropy(0.8, 0)) / 2)  # a target stays one


def test_subgroups_mask_only_where_they_are_used() -> None:
    one, two = torch.zeros(4), torch.tensor([0, 1, 0, 1])
    plain = (cross_entropy(1, 0.6) + cross_entropy(0.8, 0)) / 2
    for subgroups, used, expected in ((one, None, plain), (one, False, plain), (one, True, 0.0), (two, None, plain)):
        loss = multiple_negatives_ranking_loss(ROWS[:4], PAIRS, subgroups, scale=1.0, subgroups_used=used)
        assert loss.item() == pytest.approx(expected)


def test_a_reference_of_the_anchors_own_subgroup_is_no_negative() -> None:
    reference = ROWS[2:5]
    (x, y, z), (u, v, w) = torch.cosine_similarity(ROWS[:2].unsqueeze(1), reference.unsqueeze(0), dim=-1).tolist()
    one, two = torch.zeros(4), torch.tensor([0, 1, 0, 1])
    plain = cross_entropy(1, 0.6, x, y, z) + cross_entropy(0.8, 0, u, v, w)
    masked = cross_entropy(1, 0.6, x, z) + cross_entropy(0.8, 0, v, w)
    for subgroups, used, of_reference, expected in (
        (two, True, [1, 0, 2], masked),
        (two, None, [1, 0, 2], masked),
        (two, False, [1, 0, 2], plain),
        # One subgroup in the batch, others in the reference: what is known of both has more than one.
        (one, None, [1, 0, 2], cross_entropy(1, x, z) + cross_entropy(0.8, u, w)),
        (one, None, [0, 0, 0], plain),
    ):
        loss = multiple_negatives_ranking_loss(
            ROWS[:4],
            PAIRS,
            subgroups,
            scale=1.0,
            subgroups_used=used,
            reference=reference,
            reference_subgroups=torch.tensor(of_reference),
        )
        assert loss.item() == pytest.approx(expected / 2)


def test_siblings_are_no_negatives_of_each_other() -> None:
    rows, pairs = torch.randn(6, 4), torch.tensor([[0, 3], [1, 4], [2, 5]])
    loss = multiple_negatives_ranking_loss(rows, pairs, torch.tensor([7, 7, 8, 7, 7, 8]), scale=1.0)
    s = torch.cosine_similarity(rows[:3].unsqueeze(1), rows[3:].unsqueeze(0), dim=-1).tolist()
    expected = cross_entropy(s[0][0], s[0][2]) + cross_entropy(s[1][1], s[1][2]) + cross_entropy(s[2][2], *s[2][:2])
    assert loss.item() == pytest.approx(expected / 3)


def test_reference_embeddings_are_further_negatives_unless_equal_to_the_partner() -> None:
    reference = torch.tensor([[0.0, 1.0], [1.0, 0.0]])
    both = multiple_negatives_ranking_loss(ROWS[:4], PAIRS, scale=1.0, reference=reference)
    assert both.item() == pytest.approx((cross_entropy(1, 0.6, 0, 1) + cross_entropy(0.8, 0, 1, 0)) / 2)
    masked = multiple_negatives_ranking_loss(
        ROWS[:4], PAIRS, scale=1.0, ids=torch.arange(4), reference=reference, reference_ids=torch.tensor([9, 2])
    )
    assert masked.item() == pytest.approx((cross_entropy(1, 0.6, 0) + cross_entropy(0.8, 0, 1, 0)) / 2)


def test_candidates_that_the_guide_finds_closer_than_the_partner_are_left_out() -> None:
    # The guide finds the negative closer to both anchors than their partners, and nothing else.
    guide = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.8, 0.6], [0.8, 0.6], [1.0, 0.0]])
    loss = multiple_negatives_ranking_loss(ROWS, PAIRS, scale=1.0, negatives=NEGATIVES, guide=guide)
    assert loss.item() == pytest.approx((cross_entropy(1, 0.6) + cross_entropy(0.8, 0)) / 2)
    loss = multiple_negatives_ranking_loss(
        ROWS[:4], PAIRS, scale=1.0, guide=guide[:4], reference=ROWS[4:], reference_guide=guide[4:]
    )
    assert loss.item() == pytest.approx((cross_entropy(1, 0.6) + cross_entropy(0.8, 0)) / 2)


@pytest.mark.parametrize("symmetric", [False, True])
def test_blocks_of_rows_change_nothing(symmetric: bool, compare_blocks: Callable[..., None]) -> None:
    pairs, ids = torch.arange(20).reshape(2, 10).T, torch.arange(24) % 21
    negatives = torch.stack([torch.arange(4), torch.arange(20, 24)], dim=1)
    compare_blocks(
        lambda x: multiple_negatives_ranking_loss(
            x, pairs, torch.arange(20) % 4, negatives=negatives, ids=ids, symmetric=symmetric, guide=x.detach()[:, :2]
        ),
        torch.randn(24, 5),
    )
