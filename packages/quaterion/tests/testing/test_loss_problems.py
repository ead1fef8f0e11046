import pytest
import torch

from quaterion.batch import GroupTargets, PairTargets
from quaterion.functional.similarity import similarity_matrix
from quaterion.loss import (
    ContrastiveLoss,
    MultipleNegativesRankingLoss,
    SimilarityLoss,
    SoftmaxLoss,
    TripletLoss,
)
from quaterion.testing.loss_problems import (
    degenerate_problems,
    ideal_problems,
    independent_problem,
    random_problems,
)

LOSSES: list[SimilarityLoss] = [
    TripletLoss(),
    SoftmaxLoss(8, 4),
    ContrastiveLoss(),
    MultipleNegativesRankingLoss(),
]


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


@pytest.mark.filterwarnings("ignore:ContrastiveLoss ignores explicit negatives:UserWarning")
@pytest.mark.parametrize("loss", LOSSES)
def test_every_batch_is_legal_for_its_loss(loss: SimilarityLoss) -> None:
    problems = [
        *random_problems(loss, 8, generator()),
        *degenerate_problems(loss, 8, generator()),
        *ideal_problems(loss, 8),
    ]
    for problem in problems:
        loss.check_targets(problem.targets)
        rows = len(problem.embeddings)
        if isinstance(problem.targets, GroupTargets):
            assert len(problem.targets.groups) == rows
        else:
            pairs, extra = len(problem.targets.pairs), len(problem.targets.negatives)
            assert (2 * pairs + extra, 2 * pairs) == (rows, len(problem.targets.subgroups))
            assert len(problem.targets.ids) == rows


def test_random_groups_hold_one_that_is_seen_once_and_class_weights_see_unknown_ones() -> None:
    groups = random_problems(TripletLoss(), 8, generator())[0].targets[0]
    assert 1 in groups.unique(return_counts=True)[1]
    groups = random_problems(SoftmaxLoss(8, 4), 8, generator())[0].targets[0]
    assert groups.unique().tolist() == [-1, 0, 1, 2, 3]


def test_scores_are_one_where_the_loss_refuses_others() -> None:
    for problem in random_problems(MultipleNegativesRankingLoss(), 8, generator()):
        assert isinstance(problem.targets, PairTargets)
        assert problem.targets.scores.unique().tolist() == [1.0]
    first = random_problems(ContrastiveLoss(), 8, generator())[0].targets
    assert isinstance(first, PairTargets)
    assert first.scores.unique().tolist() == [0.0, 0.25, 0.5, 1.0]


@pytest.mark.parametrize("loss", [TripletLoss(), ContrastiveLoss()])
def test_another_order_is_the_same_batch(loss: SimilarityLoss) -> None:
    for problem in random_problems(loss, 8, generator()):
        shuffled = problem.permuted(1)
        rows = torch.cdist(shuffled.embeddings, problem.embeddings).argmin(dim=1)
        assert not torch.equal(rows, torch.arange(len(rows)))
        assert torch.equal(shuffled.embeddings, problem.embeddings[rows])
        if isinstance(problem.targets, GroupTargets):
            assert torch.equal(shuffled.targets[0], problem.targets.groups[rows])
            continue
        assert isinstance(shuffled.targets, PairTargets)
        pairs = len(problem.targets.pairs)
        assert torch.equal(shuffled.targets.ids, problem.targets.ids[rows])
        assert torch.equal(shuffled.targets.subgroups, problem.targets.subgroups[rows[: 2 * pairs]])
        for mine, theirs in ((shuffled.targets.pairs, problem.targets.pairs),):
            assert {tuple(pair) for pair in rows[mine].tolist()} == {tuple(pair) for pair in theirs.tolist()}
        moved = {tuple(pair) for pair in rows[shuffled.targets.negatives].tolist()}
        assert moved == {tuple(pair) for pair in problem.targets.negatives.tolist()}


@pytest.mark.parametrize("loss", [TripletLoss(), ContrastiveLoss(), MultipleNegativesRankingLoss()])
def test_similarities_of_the_independent_batch_are_free_and_positive(loss: SimilarityLoss) -> None:
    problem, signs = independent_problem(loss, generator())
    similarities = similarity_matrix(problem.embeddings)
    assert similarities.min() > 0
    assert torch.linalg.matrix_rank(similarities) == len(similarities)
    assert torch.equal(signs, signs.T)
    assert not signs.diagonal().any()
    positives = len(signs) // 2 if not isinstance(loss, ContrastiveLoss) else len(signs) // 4
    assert (signs > 0).sum() == 2 * positives


def test_ideal_batches_fit_small_embeddings() -> None:
    for loss in (TripletLoss(), ContrastiveLoss(), MultipleNegativesRankingLoss()):
        for size in (3, 4, 8):
            for problem in ideal_problems(loss, size):
                assert torch.allclose(problem.embeddings.norm(dim=1), torch.ones(1, dtype=torch.float64))
