import math

import pytest
import torch

from quaterion.batch import PairTargets
from quaterion.loss import GuidedNegatives, MultipleNegativesRankingLoss, TripletLoss, VectorTable
from quaterion.testing import check_loss
from quaterion.testing.plain_losses import plain_guided_negatives

# Every id of the battery's batches: 0, 1, 2 … and −7, 999,996 …
IDS = torch.cat([torch.arange(32), torch.arange(32) * 1_000_003 - 7])


def test_battery() -> None:
    # The guide tells nothing apart in the ideal batch, whose ids are 0 to 7, so that all three negatives stay there.
    vectors = torch.cat([torch.ones(32, 5), torch.randn(32, 5)]).double()
    loss = GuidedNegatives(MultipleNegativesRankingLoss(symmetric=True), VectorTable(IDS, vectors))
    check_loss(loss, reference=plain_guided_negatives, minimum=math.log1p(3 * math.exp(-20)))


def test_embeddings_of_the_guide_can_be_passed() -> None:
    loss = GuidedNegatives(MultipleNegativesRankingLoss(), guide="an encoder, bound when training starts")
    rows, pairs, nothing = torch.randn(4, 3), torch.tensor([[0, 2], [1, 3]]), torch.tensor([])
    guide = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.0, 1.0], [1.0, 0.0]])
    # The guide finds each anchor closer to the other's partner: no negative is left.
    assert loss(rows, pairs, nothing, nothing, guide_embeddings=guide).item() == 0


def test_the_guide_sees_the_memory_too() -> None:
    table = VectorTable(torch.arange(6), torch.tensor([[1.0, 0.0]] * 2 + [[0.6, 0.8]] * 2 + [[1.0, 0.0], [0.0, 1.0]]))
    loss = GuidedNegatives(MultipleNegativesRankingLoss(scale=1.0), table)
    rows, pairs, nothing = torch.randn(4, 3), torch.tensor([[0, 2], [1, 3]]), torch.tensor([])
    # Both partners are equally close to both anchors; of the memory, id 4 is closer and id 5 is not.
    memory, ids = torch.randn(2, 3), torch.tensor([4, 5])
    got = loss(rows, pairs, nothing, nothing, ids=torch.arange(4), reference=memory, reference_ids=ids)
    expected = loss.loss(rows, pairs, nothing, nothing, reference=memory[1:])
    assert torch.allclose(got, expected)


def test_only_in_batch_negatives_can_be_guided() -> None:
    with pytest.raises(TypeError, match="masks candidates of a MultipleNegativesRankingLoss, got TripletLoss"):
        GuidedNegatives(TripletLoss(), VectorTable(torch.arange(1), torch.ones(1, 1)))  # type: ignore[arg-type]


def test_scores_and_unknown_objects_are_found_when_fit_starts() -> None:
    loss = GuidedNegatives(MultipleNegativesRankingLoss(), VectorTable(torch.arange(2), torch.ones(2, 2)))
    targets = PairTargets(
        torch.tensor([[0, 1]]), torch.ones(1), torch.zeros(2).long(), torch.arange(2), torch.zeros(0, 2).long()
    )
    loss.check_targets(targets)
    with pytest.raises(ValueError, match="takes positive pairs only"):
        loss.check_targets(targets._replace(scores=torch.zeros(1)))
    with pytest.raises(ValueError, match="the guide has no vector for 1 of 2 objects"):
        loss.check_targets(targets._replace(ids=torch.tensor([0, 9])))
