"""The battery itself: ten losses that are wrong in a way losses have been wrong, each must be rejected."""

import re
from collections.abc import Collection
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from quaterion.distances import Distance
from quaterion.functional.similarity import distance_matrix, similarity_matrix
from quaterion.loss import GroupLoss, MultipleNegativesRankingLoss, SoftmaxLoss, TripletLoss
from quaterion.testing import LossCheckError, check_loss
from quaterion.testing.loss_case import Reference
from quaterion.testing.loss_checks import CHECKS
from quaterion.testing.plain_losses import plain_multiple_negatives_ranking, plain_sup_con, plain_triplet


class Hard(GroupLoss):
    """A right hard triplet loss over the full masked matrix; the broken ones change one thing each."""

    margin, mining, soft, relative = 0.5, "hard", False, False

    def forward(self, embeddings: Tensor, groups: Tensor) -> Tensor:
        distances = self.distances(embeddings)
        positive, negative = self.masks(groups)
        farthest = distances.masked_fill(~positive, -torch.inf).amax(dim=1)
        nearest = distances.masked_fill(~negative, torch.inf).amin(dim=1)
        valid = positive.any(dim=1) & negative.any(dim=1)
        return self.average(self.term(farthest, nearest).masked_fill(~valid, 0.0), valid)

    def distances(self, embeddings: Tensor) -> Tensor:
        return distance_matrix(embeddings)

    def masks(self, groups: Tensor) -> tuple[Tensor, Tensor]:
        same = groups.unsqueeze(0) == groups.unsqueeze(1)
        return same & ~torch.eye(len(groups), dtype=torch.bool, device=groups.device), ~same

    def term(self, farthest: Tensor, nearest: Tensor) -> Tensor:
        # Infinite where there is none: replaced before the difference, whose gradient would not be a number.
        none = farthest.isinf() | nearest.isinf()
        difference = farthest.masked_fill(none, 0.0) - nearest.masked_fill(none, 0.0)
        return F.relu(difference + self.margin)

    def average(self, terms: Tensor, valid: Tensor) -> Tensor:
        return terms.sum() / valid.sum().clamp(min=1)


class NoRows(Hard):
    """amax over no columns raises."""


class RightHard(Hard):
    def forward(self, embeddings: Tensor, groups: Tensor) -> Tensor:
        return super().forward(embeddings, groups) if len(embeddings) else embeddings.float().sum()


class WrongSign(RightHard):
    def term(self, farthest: Tensor, nearest: Tensor) -> Tensor:
        return super().term(nearest, farthest)


class SelfPairKept(RightHard):
    def masks(self, groups: Tensor) -> tuple[Tensor, Tensor]:
        same = groups.unsqueeze(0) == groups.unsqueeze(1)
        return same, ~same


class MaskByMultiplication(RightHard):
    def forward(self, embeddings: Tensor, groups: Tensor) -> Tensor:
        distances = self.distances(embeddings)
        positive, negative = self.masks(groups)
        farthest = (distances * positive).amax(dim=1) if len(groups) else distances.sum(dim=1)
        nearest = (distances + torch.where(negative, 0.0, 1.0) * torch.inf).amin(dim=1) if len(groups) else farthest
        return F.relu(farthest - nearest + self.margin).mean()


class AverageOverAll(RightHard):
    def average(self, terms: Tensor, valid: Tensor) -> Tensor:
        return terms.mean()


class SumInsteadOfMean(RightHard):
    def average(self, terms: Tensor, valid: Tensor) -> Tensor:
        return terms.sum()


class BooleanIndexing(RightHard):
    def average(self, terms: Tensor, valid: Tensor) -> Tensor:
        return terms[valid].mean() if bool(valid.any()) else terms.sum()


class HalfPrecision(RightHard):
    def distances(self, embeddings: Tensor) -> Tensor:
        rows = F.normalize(embeddings)
        return 1 - rows @ rows.T  # follows autocast, and the type of the embeddings


class UnsafeNorm(RightHard):
    def distances(self, embeddings: Tensor) -> Tensor:
        rows = embeddings.float() if embeddings.dtype.itemsize == 2 else embeddings
        rows = rows / rows.norm(dim=1, keepdim=True)
        return 1 - rows @ rows.T


class DetachedNegative(RightHard):
    def term(self, farthest: Tensor, nearest: Tensor) -> Tensor:
        return super().term(farthest, nearest.detach())


class FirstAnchorOnly(RightHard):
    def average(self, terms: Tensor, valid: Tensor) -> Tensor:
        return terms[0]


class ForgetsItsMargin(RightHard):
    def __init__(self, margin: float) -> None:
        super().__init__()
        self.margin = margin

    def get_config_dict(self) -> dict[str, Any]:
        return {"margin": 0.1}


class SquareRootAtZero(RightHard):
    def __init__(self) -> None:
        super().__init__(Distance.EUCLIDEAN)

    def distances(self, embeddings: Tensor) -> Tensor:
        rows = embeddings.float() if embeddings.dtype.itemsize == 2 else embeddings
        return (rows.unsqueeze(0) - rows.unsqueeze(1)).square().sum(dim=2).sqrt()


class ChangesItsInput(RightHard):
    def forward(self, embeddings: Tensor, groups: Tensor) -> Tensor:
        value = super().forward(embeddings, groups)
        groups.add_(1)
        return value


def failures(loss: GroupLoss, skip: Collection[str] = ("compile",)) -> dict[str, str]:
    with pytest.raises(LossCheckError) as caught:
        check_loss(loss, reference=plain_triplet, minimum=0.0, skip=skip)
    return caught.value.failures


def test_a_right_loss_of_a_user_passes() -> None:
    results = check_loss(RightHard(), reference=plain_triplet, minimum=0.0)
    assert set(results) == set(CHECKS)
    assert results["memory"] == "skipped: the loss compares with no other embeddings"
    assert {check for check, result in results.items() if result == "passed"} == set(CHECKS) - {"memory"}


@pytest.mark.parametrize(
    ("broken", "finding", "message"),
    [
        (WrongSign(), "signs", "it must be at most 0 for positives and at least 0 for negatives"),
        (SelfPairKept(), "reference", "against the reference"),
        (MaskByMultiplication(), "degenerate", "the loss is nan|the gradient is not finite"),
        (AverageOverAll(), "reference", "the value is off by"),
        (SumInsteadOfMean(), "reference", "the value is off by"),
        (HalfPrecision(), "autocast", "autocast: the value is off by"),
        (HalfPrecision(), "scalar", "give a loss in torch.bfloat16, expected torch.float32"),
        (UnsafeNorm(), "degenerate", "zero rows"),
        (DetachedNegative(), "gradcheck", "the gradient is not the derivative of the value"),
        (DetachedNegative(), "reference", "the gradient is off by"),
        (FirstAnchorOnly(), "permutation", "in another order: the value is off by"),
        (ForgetsItsMargin(0.5), "config", "built from its hyper-parameters and state: the value is off by"),
        (SquareRootAtZero(), "degenerate", "the gradient is not finite"),
        (ChangesItsInput(), "scalar", "the loss changed its inputs in place"),
        (NoRows(), "degenerate", "raises IndexError"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, GroupLoss) else None,
)
def test_a_broken_loss_is_rejected(broken: GroupLoss, finding: str, message: str) -> None:
    found = failures(broken)
    assert finding in found
    assert re.search(message, found[finding])


def test_boolean_indexing_is_rejected_by_the_compiler() -> None:
    assert "torch.compile(fullgraph=True) fails" in failures(BooleanIndexing(), skip=())["compile"]


class LogOfProbability(SoftmaxLoss):
    """Softmax, then log: infinite where a probability underflows."""

    def forward(self, embeddings: Tensor, groups: Tensor) -> Tensor:
        known = groups >= 0
        probabilities = (self.class_scores(embeddings) / (self.temperature / 50)).softmax(dim=1)
        terms = -probabilities.gather(1, groups.clamp(min=0).unsqueeze(1)).squeeze(1).log()
        return terms.masked_fill(~known, 0.0).sum() / known.sum().clamp(min=1)


class UnknownGroupsCounted(SoftmaxLoss):
    def forward(self, embeddings: Tensor, groups: Tensor) -> Tensor:
        return super().forward(embeddings, groups.clamp(min=0))


def test_broken_class_weights_are_rejected() -> None:
    with pytest.raises(LossCheckError, match="degenerate: .*(the loss is inf|the gradient is not finite)"):
        check_loss(LogOfProbability(8, 4), skip={"compile"})
    with pytest.raises(
        LossCheckError, match="unknown groups only in torch.float64: nothing is valid, expected exactly 0"
    ):
        check_loss(UnknownGroupsCounted(8, 4), skip={"compile"})


class SiblingsAreNegatives(MultipleNegativesRankingLoss):
    def forward(self, embeddings: Tensor, pairs: Tensor, *others: Tensor, **named: Tensor) -> Tensor:
        return super().forward(embeddings, pairs, others[0], torch.tensor([]), **named)


class IgnoresIds(MultipleNegativesRankingLoss):
    def forward(self, *args: Tensor, ids: Tensor | None = None, **named: Tensor) -> Tensor:
        return super().forward(*args, **named)


@pytest.mark.parametrize("broken", [SiblingsAreNegatives(), IgnoresIds()])
def test_broken_false_negative_masks_are_rejected(broken: MultipleNegativesRankingLoss) -> None:
    with pytest.raises(LossCheckError) as caught:
        check_loss(broken, reference=plain_multiple_negatives_ranking, skip={"compile"})
    assert set(caught.value.failures) == {"reference"}


class IgnoresTheQueue(MultipleNegativesRankingLoss):
    def forward(self, *args: Tensor, reference: Tensor | None = None, **named: Tensor) -> Tensor:
        return super().forward(*args, **named)


class FailsWithAQueue(MultipleNegativesRankingLoss):
    def forward(self, *args: Any, reference: Tensor | None = None, **named: Any) -> Tensor:
        value = super().forward(*args, reference=reference, **named)
        return value if reference is None else value * torch.nan


class QueueWithoutIds(MultipleNegativesRankingLoss):
    def compute(self, *args: Any, memory: tuple[Tensor, ...] | None = None) -> Tensor:
        if memory is not None:
            memory = (memory[0], torch.full_like(memory[1], -1), memory[2])
        return super().compute(*args, memory=memory)


class QueueWithoutSubgroups(MultipleNegativesRankingLoss):
    def compute(self, *args: Any, memory: tuple[Tensor, ...] | None = None) -> Tensor:
        return super().compute(*args, memory=None if memory is None else memory[:2])


class QueueOfPositives(MultipleNegativesRankingLoss):
    """What is in the queue lowers the loss."""

    def compute(self, *args: Any, memory: tuple[Tensor, ...] | None = None) -> Tensor:
        value = super().compute(*args)
        return value if memory is None else 2 * value - super().compute(*args, memory=memory)


@pytest.mark.parametrize("reference", [plain_multiple_negatives_ranking, None])
@pytest.mark.parametrize(
    ("broken", "message"),
    [
        (IgnoresTheQueue(), "negatives in the memory change the loss from (.*) to \\1: they must raise it"),
        (FailsWithAQueue(), "with the memory in another order: the value is off by nan"),
        (QueueWithoutIds(), "with objects equal to the partners in the memory, which are no negatives: the value"),
        (QueueWithoutSubgroups(), "with objects of the anchors' own subgroup in the memory, which are no negatives"),
        (QueueOfPositives(), "negatives in the memory change the loss from .*: they must raise it"),
    ],
)
def test_a_broken_queue_of_negatives_is_rejected(
    broken: MultipleNegativesRankingLoss, message: str, reference: Reference | None
) -> None:
    with pytest.raises(LossCheckError) as caught:
        check_loss(broken, reference=reference, skip={"compile", "reference"})
    found = caught.value.failures["memory"]
    assert re.search(message if reference is None else f"against the reference with a memory: |{message}", found)


class IgnoresTheMemory(GroupLoss):
    """Says that it takes a reference and compares with the batch."""

    temperature = 0.1

    def forward(
        self,
        embeddings: Tensor,
        groups: Tensor,
        *,
        reference: Tensor | None = None,
        reference_groups: Tensor | None = None,
    ) -> Tensor:
        logits = similarity_matrix(embeddings) / self.temperature
        return logits.logsumexp(dim=1).sum()


def test_a_memory_that_is_not_looked_at_is_rejected() -> None:
    with pytest.raises(LossCheckError, match="memory: an empty memory must give exactly 0"):
        check_loss(IgnoresTheMemory(), reference=plain_sup_con, skip={"compile"})


def test_the_error_lists_every_failed_check() -> None:
    with pytest.raises(LossCheckError) as caught:
        check_loss(WrongSign(), skip={"compile"})
    assert {"signs", "minimum"} == set(caught.value.failures)
    for name, message in caught.value.failures.items():
        assert f"{name}: {message}" in str(caught.value)
    assert str(caught.value).startswith("WrongSign(distance_metric_name='cosine') failed 2 of 12 checks")


def test_an_unknown_check_is_refused() -> None:
    with pytest.raises(ValueError, match="unknown check 'sings' in skip: expected some of scalar, reference"):
        check_loss(TripletLoss(), skip={"sings"})


def test_another_embedding_size_is_used() -> None:
    sizes: set[int] = set()

    class Recording(RightHard):
        def forward(self, embeddings: Tensor, groups: Tensor) -> Tensor:
            sizes.add(embeddings.shape[1])
            return super().forward(embeddings, groups)

    check_loss(Recording(), embedding_size=5, skip={"compile", "signs"})
    assert sizes == {5}


def test_the_loss_itself_is_left_alone() -> None:
    loss = SoftmaxLoss(8, 4)
    before = loss.weight.detach().clone()
    check_loss(loss, skip={"compile"})
    assert torch.equal(loss.weight, before)
    assert loss.weight.grad is None
