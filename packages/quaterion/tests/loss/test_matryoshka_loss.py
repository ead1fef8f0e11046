import copy

import pytest
import torch

from quaterion.batch import GroupTargets, PairTargets
from quaterion.loss import (
    ArcFaceLoss,
    CombinedLoss,
    MatryoshkaLoss,
    MultipleNegativesRankingLoss,
    SimilarityLoss,
    TripletLoss,
)
from quaterion.testing import check_loss


@pytest.mark.parametrize("loss", [TripletLoss(), ArcFaceLoss(8, 4), MultipleNegativesRankingLoss()])
def test_battery(loss: SimilarityLoss) -> None:
    # Slices are no functions of the whole embeddings' similarities: no promise about signs.
    check_loss(MatryoshkaLoss(loss, [8, 4, 2]), skip={"signs"}, embedding_size=8)


def test_it_is_the_weighted_sum_over_leading_slices() -> None:
    embeddings, groups = torch.randn(8, 6), torch.arange(8) % 2
    inner = TripletLoss()
    expected = 0.5 * inner(embeddings[:, :4], groups) + 2 * inner(embeddings[:, :2], groups)
    loss = MatryoshkaLoss(inner, [4, 2], [0.5, 2.0])
    assert torch.allclose(loss(embeddings, groups), expected)
    assert torch.allclose(loss.compute(embeddings, GroupTargets(groups)), expected)


def test_class_weights_are_cut_alike_and_get_the_gradient() -> None:
    embeddings, groups = torch.randn(8, 6), torch.arange(8) % 2
    inner = ArcFaceLoss(6, 2)
    short = ArcFaceLoss(2, 2)
    short.load_state_dict({"weight": inner.weight.detach()[:, :2]})
    loss = MatryoshkaLoss(inner, [2])
    value = loss(embeddings, groups)
    assert value == short(embeddings[:, :2], groups)
    value.backward()
    assert inner.weight.grad is not None
    assert inner.weight.grad.any(dim=0).tolist() == [True, True, False, False, False, False]
    assert loss.num_groups == 2
    assert [name for name, _ in loss.named_parameters()] == ["loss.weight"]


def test_a_copy_uses_its_own_weights() -> None:
    loss = MatryoshkaLoss(ArcFaceLoss(4, 2), [2])
    twin = copy.deepcopy(loss)
    torch.nn.init.zeros_(loss.loss.weight)  # type: ignore[arg-type]
    embeddings, groups = torch.randn(4, 4), torch.arange(4) % 2
    assert twin(embeddings, groups) != loss(embeddings, groups)


def test_a_memory_is_cut_alike() -> None:
    embeddings, groups = torch.randn(8, 6), torch.arange(8) % 2
    memory, memory_groups = torch.randn(5, 6), torch.arange(5) % 2
    loss = MatryoshkaLoss(TripletLoss(), [3])
    assert loss.supports_memory
    expected = TripletLoss().xbm_loss(embeddings[:, :3], groups, memory[:, :3], memory_groups)
    assert loss.compute(embeddings, GroupTargets(groups), memory=(memory, memory_groups)) == expected
    assert loss(embeddings, groups, reference=memory, reference_groups=memory_groups) == expected
    assert not MatryoshkaLoss(ArcFaceLoss(4, 2), [2]).supports_memory


def test_the_wrapped_loss_checks_the_targets() -> None:
    loss = MatryoshkaLoss(MultipleNegativesRankingLoss(), [2])
    targets = PairTargets(
        torch.tensor([[0, 1]]), torch.zeros(1), torch.zeros(2).long(), torch.arange(2), torch.zeros(0, 2).long()
    )
    with pytest.raises(ValueError, match="takes positive pairs only"):
        loss.check_targets(targets)
    loss.check_targets(targets._replace(scores=torch.ones(1)))


def test_impossible_slices_are_refused() -> None:
    with pytest.raises(ValueError, match=r"dims must hold one or more different lengths, got \[\]"):
        MatryoshkaLoss(TripletLoss(), [])
    with pytest.raises(ValueError, match="dims must hold one or more different lengths"):
        MatryoshkaLoss(TripletLoss(), [2, 2])
    with pytest.raises(ValueError, match="dims must be a whole number of at least 1, got 0"):
        MatryoshkaLoss(TripletLoss(), [0])
    with pytest.raises(ValueError, match="got 1 weights for 2 dims: pass one for each, or none"):
        MatryoshkaLoss(TripletLoss(), [1, 2], [1.0])
    with pytest.raises(TypeError, match=r"MatryoshkaLoss\(loss\) must be a loss object, .* got the class TripletLoss"):
        MatryoshkaLoss(TripletLoss, [2])  # type: ignore[arg-type]
    mixed = CombinedLoss({"groups": (TripletLoss(), 1.0), "pairs": (MultipleNegativesRankingLoss(), 1.0)})
    with pytest.raises(ValueError, match="got a CombinedLoss over groups and over pairs.* Wrap each of them"):
        MatryoshkaLoss(mixed, [2])
    with pytest.raises(ValueError, match="the embedding has 3 components, but dims asks for 4"):
        MatryoshkaLoss(TripletLoss(), [4, 2])(torch.zeros(2, 3), torch.zeros(2))
