import pytest
import torch
from torch import Tensor

from quaterion.batch import PairTargets
from quaterion.loss import ContrastiveLoss, CosineSimilarityLoss, MultipleNegativesRankingLoss, PairwiseLoss


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


def test_an_empty_data_set_has_no_subgroups() -> None:
    loss, batch = MultipleNegativesRankingLoss(), targets()
    loss.prepare_fit(PairTargets(*(tensor[:0] for tensor in batch if isinstance(tensor, torch.Tensor))))
    assert loss.subgroups_used is False
