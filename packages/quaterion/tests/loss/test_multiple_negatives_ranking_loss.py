import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from quaterion.batch import PairTargets
from quaterion.distances import Distance
from quaterion.loss import MultipleNegativesRankingLoss
from quaterion.testing import check_loss
from quaterion.testing.plain_losses import plain_multiple_negatives_ranking

PAIRS = torch.arange(12).reshape(2, 6).T
NONE = torch.tensor([])


def targets(scores: Tensor, subgroups: Tensor) -> PairTargets:
    return PairTargets(PAIRS, scores, subgroups, torch.arange(12), torch.zeros(0, 2).long())


@pytest.mark.parametrize("symmetric", [False, True])
def test_battery(symmetric: bool) -> None:
    # Ideal: similarity 1 to the own partner, 0 to three others, in both directions.
    minimum = math.log1p(3 * math.exp(-20))
    loss = MultipleNegativesRankingLoss(symmetric=symmetric)
    check_loss(loss, reference=plain_multiple_negatives_ranking, minimum=minimum)


@pytest.mark.parametrize("distance", [Distance.EUCLIDEAN, Distance.MANHATTAN, Distance.DOT_PRODUCT])
def test_battery_with_other_distances(distance: Distance) -> None:
    loss = MultipleNegativesRankingLoss(2.0, distance, symmetric=True)
    check_loss(loss, reference=plain_multiple_negatives_ranking, skip={"compile"})


@pytest.mark.slow
def test_it_equals_sentence_transformers(
    columns: Callable[..., list[dict[str, Tensor]]], columns_model: nn.Module
) -> None:
    from sentence_transformers.sentence_transformer import losses

    rows = torch.randn(18, 5)
    with_negatives = columns(rows[:6], rows[6:12], rows[12:])
    theirs = losses.MultipleNegativesRankingLoss(columns_model, scale=20.0)(with_negatives, None)
    negatives = torch.stack([torch.arange(6), torch.arange(12, 18)], dim=1)
    ours = MultipleNegativesRankingLoss()(rows, PAIRS, NONE, torch.zeros(12), negatives=negatives)
    assert torch.allclose(ours, theirs)

    both_ways = losses.MultipleNegativesRankingLoss(
        columns_model, directions=("query_to_doc", "doc_to_query"), partition_mode="per_direction"
    )
    theirs = both_ways(columns(rows[:6], rows[6:12]), None)
    assert torch.allclose(MultipleNegativesRankingLoss(symmetric=True)(rows[:12], PAIRS, NONE, NONE), theirs)


def test_scores_other_than_one_are_found_when_fit_starts() -> None:
    scores = torch.tensor([1.0, 1.0, 0.5, 1.0, 0.0, 1.0])
    with pytest.raises(ValueError, match="takes positive pairs only, with score 1, but 2 of 6 pairs .* the first 0.5"):
        MultipleNegativesRankingLoss().check_targets(targets(scores, torch.zeros(12)))
    MultipleNegativesRankingLoss().check_targets(targets(torch.ones(6), torch.zeros(12)))


def test_whether_subgroups_are_used_can_be_told() -> None:
    loss, rows = MultipleNegativesRankingLoss(), torch.randn(12, 4)
    one_subgroup = targets(torch.ones(6), torch.zeros(12).long())
    everyone_negative = loss.compute(rows, one_subgroup)
    assert everyone_negative > 0
    # Drawn by chance, a batch of one subgroup: no two objects are negatives.
    assert loss(rows, PAIRS, NONE, one_subgroup.subgroups, ids=one_subgroup.ids, subgroups_used=True) == 0
    assert loss(rows, PAIRS, NONE, one_subgroup.subgroups, ids=one_subgroup.ids, subgroups_used=False) == (
        everyone_negative
    )


def test_empty_or_float_labels_and_subgroups_are_accepted() -> None:
    loss, rows = MultipleNegativesRankingLoss(), torch.randn(12, 4)
    expected = loss(rows, PAIRS, torch.ones(6), torch.zeros(12).long())
    for labels in (NONE, torch.ones(6).long()):
        for subgroups in (NONE, torch.zeros(12), torch.arange(6.0).repeat(2)):
            assert loss(rows, PAIRS, labels, subgroups) == expected


def test_a_memory_adds_negatives_by_id() -> None:
    loss, rows, memory = MultipleNegativesRankingLoss(), torch.randn(12, 4), torch.randn(3, 4)
    assert loss.supports_memory
    batch = targets(torch.ones(6), torch.zeros(12).long())
    expected = loss(rows, PAIRS, NONE, NONE, ids=batch.ids, reference=memory[1:], reference_ids=torch.tensor([97, 98]))
    got = loss.compute(rows, batch, memory=(memory[1:], torch.tensor([97, 98])))
    assert got == expected
    assert got > loss.compute(rows, batch)


def test_a_memory_leaves_out_objects_of_the_anchors_own_subgroup() -> None:
    loss, rows, memory = MultipleNegativesRankingLoss(), torch.randn(12, 4), torch.randn(3, 4)
    batch = targets(torch.ones(6), torch.arange(6).repeat(2) // 3)  # subgroups 0 and 1
    ids, other = torch.tensor([97, 98, 99]), 5
    own = loss.compute(rows, batch, memory=(memory, ids, torch.tensor([0, 1, other])))
    both = loss.compute(rows, batch, memory=(memory, ids, torch.full((3,), other)))
    rest = loss.compute(rows, batch, memory=(memory[2:], ids[2:], torch.tensor([other])))
    assert rest < own < both == loss.compute(rows, batch, memory=(memory, ids))


def test_an_impossible_scale_is_refused() -> None:
    with pytest.raises(ValueError, match="scale must be a finite number greater than 0, got 0"):
        MultipleNegativesRankingLoss(scale=0)
