import pytest
import torch

from quaterion.batch import GroupTargets, PairTargets
from quaterion.distances import Distance
from quaterion.loss import (
    ArcFaceLoss,
    CenterLoss,
    CombinedLoss,
    ContrastiveLoss,
    MultipleNegativesRankingLoss,
    SoftmaxLoss,
    TripletLoss,
)
from quaterion.testing import check_loss

TARGETS = GroupTargets(torch.arange(8) % 2)


def test_battery() -> None:
    loss = CombinedLoss({"triplet": (TripletLoss(), 1.0), "center": (CenterLoss(8, 4), 0.5)})
    # Ideal embeddings lie on their centres, with all groups a margin apart.
    check_loss(loss, minimum=0.0, embedding_size=8)


def test_it_is_the_weighted_sum_of_its_parts() -> None:
    embeddings = torch.randn(8, 4)
    triplet, center = TripletLoss(), CenterLoss(4, 2)
    loss = CombinedLoss({"near.far": (triplet, 2.0), "center": (center, 0.5)})
    parts = loss.parts(embeddings, TARGETS)
    assert parts == {"near.far": triplet(embeddings, TARGETS.groups), "center": center(embeddings, TARGETS.groups)}
    expected = 2 * parts["near.far"] + 0.5 * parts["center"]
    assert torch.allclose(loss.compute(embeddings, TARGETS), expected)
    assert torch.allclose(loss(embeddings, TARGETS.groups), expected)
    assert torch.allclose(loss.weigh(parts), expected)
    assert len(list(loss.parameters())) == 1
    assert loss.num_groups == 2


def test_only_the_losses_that_can_use_a_memory_do() -> None:
    embeddings, memory = torch.randn(8, 4), (torch.randn(5, 4), torch.arange(5) % 2)
    triplet = TripletLoss()
    loss = CombinedLoss({"triplet": (triplet, 2.0), "center": (CenterLoss(4, 2), 0.5)})
    assert loss.supports_memory
    expected = 2 * triplet.xbm_loss(embeddings, TARGETS.groups, *memory)
    assert torch.allclose(loss.compute(embeddings, TARGETS, memory=memory), expected)
    assert not CombinedLoss({"center": (CenterLoss(4, 2), 0.5)}).supports_memory


def test_losses_of_different_kinds_serve_one_data_set_each() -> None:
    pairs, groups = MultipleNegativesRankingLoss(), TripletLoss()
    loss = CombinedLoss({"questions": (pairs, 1.0), "topics": (groups, 1.0)})
    assert loss.loss_of("questions") is pairs
    assert loss.loss_of("topics") is groups
    with pytest.raises(KeyError, match="no loss named 'answers': expected one of 'questions', 'topics'"):
        loss.loss_of("answers")
    with pytest.raises(TypeError, match="MultipleNegativesRankingLoss takes PairTargets"):
        loss.check_targets(TARGETS)


def test_every_part_checks_the_targets() -> None:
    loss = CombinedLoss({"ranking": (MultipleNegativesRankingLoss(), 1.0), "contrastive": (ContrastiveLoss(), 1.0)})
    targets = PairTargets(
        torch.tensor([[0, 1]]), torch.ones(1), torch.zeros(2).long(), torch.arange(2), torch.zeros(0, 2).long()
    )
    loss.check_targets(targets)
    with pytest.raises(ValueError, match="takes positive pairs only"):
        loss.check_targets(targets._replace(scores=torch.zeros(1)))


def test_distances_are_common_or_cosine() -> None:
    euclidean = TripletLoss(distance_metric_name=Distance.EUCLIDEAN)
    assert CombinedLoss({"a": (euclidean, 1.0)}).distance_metric_name is Distance.EUCLIDEAN
    assert CombinedLoss({"a": (euclidean, 1.0), "b": (TripletLoss(), 1.0)}).distance_metric_name is Distance.COSINE


def test_impossible_combinations_are_refused() -> None:
    with pytest.raises(ValueError, match="CombinedLoss needs at least one loss"):
        CombinedLoss({})
    with pytest.raises(ValueError, match="the weight of 'a' must be a finite number greater than 0, got 0"):
        CombinedLoss({"a": (TripletLoss(), 0)})
    with pytest.raises(TypeError, match="CombinedLoss got TripletLoss as 'a': pass a loss and its weight"):
        CombinedLoss({"a": TripletLoss()})  # type: ignore[dict-item]
    with pytest.raises(TypeError, match=r"the loss 'a' must be a loss object, .* got the class TripletLoss"):
        CombinedLoss({"a": (TripletLoss, 1.0)})  # type: ignore[dict-item]


def test_it_has_weights_for_as_many_groups_as_its_smallest_part() -> None:
    weighted = {"a": (ArcFaceLoss(4, 3), 1.0), "b": (SoftmaxLoss(4, 2), 1.0), "c": (TripletLoss(), 1.0)}
    assert CombinedLoss(weighted).num_groups == 2
    assert CombinedLoss({"c": (TripletLoss(), 1.0)}).num_groups is None
