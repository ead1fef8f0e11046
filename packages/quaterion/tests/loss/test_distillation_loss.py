import pytest
import torch

from quaterion.batch import PairTargets
from quaterion.distances import Distance
from quaterion.loss import DistillationLoss, VectorTable
from quaterion.testing import check_loss
from quaterion.testing.loss_problems import ideal_problems
from quaterion.testing.plain_losses import plain_distillation


@pytest.mark.parametrize("distance", [Distance.COSINE, Distance.EUCLIDEAN])
def test_battery(distance: Distance) -> None:
    # The teacher finds the ideal batch, whose ids are 0 to 7, as it is; of the others it has an opinion of its own.
    unbound = DistillationLoss("a store, bound when training starts", distance)
    ideal, _ = ideal_problems(unbound, 8)
    ids = torch.cat([ideal.targets.ids, torch.arange(32) * 1_000_003 - 7])  # type: ignore[union-attr]
    loss = DistillationLoss(VectorTable(ids, torch.cat([ideal.embeddings, torch.randn(32, 8).double()])), distance)
    # A teacher may want positives apart: no promise about signs. Other ids than these do not occur.
    skip = {"signs"} if distance is Distance.COSINE else {"signs", "compile"}
    check_loss(loss, reference=plain_distillation, minimum=0.0, skip=skip)


def test_embeddings_of_the_teacher_can_be_passed() -> None:
    loss = DistillationLoss(VectorTable(torch.arange(1), torch.ones(1, 1)))
    rows, pairs, nothing = torch.randn(4, 3), torch.tensor([[0, 2], [1, 3]]), torch.tensor([])
    assert loss(rows, pairs, nothing, nothing, teacher_embeddings=2 * rows).item() == pytest.approx(0, abs=1e-12)


def test_objects_that_the_teacher_does_not_know_are_found_when_fit_starts() -> None:
    loss = DistillationLoss(VectorTable(torch.arange(2), torch.ones(2, 2)))
    targets = PairTargets(
        torch.tensor([[0, 1]]), torch.ones(1), torch.zeros(2).long(), torch.tensor([0, 9]), torch.zeros(0, 2).long()
    )
    with pytest.raises(
        ValueError, match="the teacher has no vector for 1 of 2 objects of the data, the first with id 9"
    ):
        loss.check_targets(targets)
