import pytest
import torch
from torch import Tensor

from quaterion.batch import PairTargets
from quaterion.loss import (
    CombinedLoss,
    ContrastiveLoss,
    CosineSimilarityLoss,
    GuidedNegatives,
    MatryoshkaLoss,
    MultipleNegativesRankingLoss,
    PairwiseLoss,
    SimilarityLoss,
    VectorTable,
)


def targets(scores: Tensor | None = None) -> PairTargets:
    return PairTargets(
        torch.tensor([[0, 2], [1, 3]]),
        torch.ones(2) if scores is None else scores,
        torch.tensor([0, 1, 0, 1]),
        torch.arange(5),
        torch.tensor([[0, 4]]),
    )


class Documented(PairwiseLoss):
    """A user's loss with the four documented arguments."""

    def forward(self, embeddings: Tensor, pairs: Tensor, labels: Tensor, subgroups: Tensor) -> Tensor:  # type: ignore[override]
        return embeddings.sum() + labels.sum()


def test_a_loss_with_the_documented_arguments_is_given_no_others() -> None:
    assert Documented().compute(torch.zeros(5, 3), targets()).item() == 2


def test_other_losses_are_given_negatives_and_ids() -> None:
    loss, rows = MultipleNegativesRankingLoss(), torch.randn(5, 3)
    batch = targets()
    expected = loss(rows, batch.pairs, batch.scores, batch.subgroups, negatives=batch.negatives, ids=batch.ids)
    assert loss.compute(rows, batch) == expected
    assert expected > loss(rows, batch.pairs, batch.scores, batch.subgroups)


def test_empty_labels_are_ones_and_empty_subgroups_are_all_different() -> None:
    loss, rows, nothing = ContrastiveLoss(), torch.randn(4, 3), torch.tensor([])
    pairs = torch.tensor([[0, 2], [1, 3]])
    assert loss(rows, pairs, nothing, nothing) == loss(rows, pairs, torch.ones(2), torch.tensor([4, 5, 4, 5]))


def test_pairs_may_be_any_rows() -> None:
    # Interleaved, with labels as integers and subgroups as floats.
    loss, rows = ContrastiveLoss(), torch.randn(4, 3)
    expected = loss(rows, torch.tensor([[0, 2], [1, 3]]), torch.tensor([1.0, 0.0]), torch.tensor([0, 1, 0, 1]))
    order = torch.tensor([0, 2, 1, 3])
    got = loss(rows[order], torch.tensor([[0, 1], [2, 3]]), torch.tensor([1, 0]), torch.tensor([0.0, 0.0, 1.0, 1.0]))
    assert torch.allclose(got, expected)


def test_a_loss_without_memory_refuses_one() -> None:
    with pytest.raises(TypeError, match="ContrastiveLoss cannot use a cross-batch memory"):
        ContrastiveLoss().compute(torch.zeros(5, 3), targets(), memory=(torch.zeros(1, 3), torch.zeros(1).long()))


def test_explicit_negatives_that_a_loss_ignores_are_told_when_fit_starts() -> None:
    with pytest.warns(UserWarning, match="CosineSimilarityLoss ignores explicit negatives, but the data has 1"):
        CosineSimilarityLoss().check_targets(targets())
    MultipleNegativesRankingLoss().check_targets(targets())


def test_scores_that_are_not_finite_are_found_when_fit_starts() -> None:
    with pytest.raises(ValueError, match="the score of pair 1 is nan: expected a finite number"):
        ContrastiveLoss().check_targets(targets(torch.tensor([1.0, torch.nan])))


class Refined(MultipleNegativesRankingLoss):
    """A user's change of a built-in loss, with that loss's arguments."""


@pytest.mark.parametrize(
    "loss",
    [
        Refined(),
        GuidedNegatives(MultipleNegativesRankingLoss(), VectorTable(torch.arange(4), torch.ones(4, 2))),
        MatryoshkaLoss(MultipleNegativesRankingLoss(), [3]),
        CombinedLoss({"ranking": (MultipleNegativesRankingLoss(), 1.0)}),
    ],
)
def test_whether_subgroups_are_used_is_told_with_each_batch_and_not_remembered(loss: SimilarityLoss) -> None:
    # A batch of one subgroup: drawn by chance from a data set of several, it has no negatives.
    batch = PairTargets(
        torch.tensor([[0, 2], [1, 3]]), torch.ones(2), torch.zeros(4).long(), torch.arange(4), torch.zeros(0, 2).long()
    )
    rows = torch.randn(4, 3)
    judged_alone = loss.compute(rows, batch)
    assert judged_alone > 0
    assert loss.compute(rows, batch._replace(subgroups_used=False)) == judged_alone
    assert loss.compute(rows, batch._replace(subgroups_used=True)) == 0
    assert loss.compute(rows, batch) == judged_alone


def test_no_step_looks_at_the_signature_of_forward(monkeypatch: pytest.MonkeyPatch) -> None:
    loss, batch, rows = MultipleNegativesRankingLoss(), targets(), torch.randn(5, 3)
    memory = (torch.zeros(0, 3), torch.zeros(0).long())
    before = loss.compute(rows, batch, memory=memory)
    monkeypatch.delattr("inspect.signature")
    assert loss.compute(rows, batch, memory=memory) == before
