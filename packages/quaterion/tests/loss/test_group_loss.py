import pytest
import torch
from torch import Tensor

from quaterion.batch import GroupTargets
from quaterion.loss import ArcFaceLoss, CenterLoss, GroupLoss, SupConLoss, TripletLoss


class WithOwnMemory(GroupLoss):
    """A user's loss with its own idea of a memory."""

    def forward(self, embeddings: Tensor, groups: Tensor) -> Tensor:
        return embeddings.sum()

    def xbm_loss(self, embeddings: Tensor, groups: Tensor, memory_embeddings: Tensor, memory_groups: Tensor) -> Tensor:
        return memory_embeddings.sum()


def test_the_memory_takes_the_place_of_the_batch() -> None:
    embeddings, groups = torch.randn(6, 4), torch.arange(6) % 2
    memory, memory_groups = torch.randn(9, 4), torch.arange(9) % 3
    for loss in (TripletLoss(), SupConLoss()):
        expected = loss(embeddings, groups, reference=memory, reference_groups=memory_groups)
        assert loss.supports_memory
        assert loss.xbm_loss(embeddings, groups, memory, memory_groups) == expected
        assert loss.compute(embeddings, GroupTargets(groups), memory=(memory, memory_groups)) == expected


def test_a_loss_with_class_weights_refuses_a_memory() -> None:
    loss = ArcFaceLoss(4, 2)
    assert not loss.supports_memory
    with pytest.raises(TypeError, match="ArcFaceLoss cannot use a cross-batch memory: .* such as TripletLoss"):
        loss.check_memory()
    with pytest.raises(TypeError, match="cannot use a cross-batch memory"):
        loss.xbm_loss(torch.zeros(2, 4), torch.zeros(2), torch.zeros(2, 4), torch.zeros(2))


def test_a_users_own_memory_loss_is_used() -> None:
    loss, memory = WithOwnMemory(), torch.ones(2, 3)
    loss.check_memory()
    targets = GroupTargets(torch.zeros(2))
    assert loss.compute(torch.zeros(2, 3), targets, memory=(memory, torch.zeros(2))).item() == 6


def test_groups_that_are_no_class_are_found_when_fit_starts() -> None:
    loss = CenterLoss(embedding_size=4, num_groups=3)
    loss.check_targets(GroupTargets(torch.tensor([0, 2, -1, -4])))  # negative ones are skipped
    with pytest.raises(
        ValueError, match=r"class weights for the groups 0\.\.2, but the data contains group 5: pass num_gr"
    ):
        loss.check_targets(GroupTargets(torch.tensor([0, 5])))


def test_losses_without_class_weights_take_any_group() -> None:
    assert TripletLoss().num_groups is None
    TripletLoss().check_targets(GroupTargets(torch.tensor([-(2**60), 2**60])))
