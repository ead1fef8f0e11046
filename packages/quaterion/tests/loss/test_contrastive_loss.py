from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from quaterion.batch import PairTargets
from quaterion.distances import Distance
from quaterion.loss import ContrastiveLoss
from quaterion.testing import check_loss
from quaterion.testing.plain_losses import plain_contrastive


def test_battery() -> None:
    # Ideal: distance 0 in pairs of score 1, 1 elsewhere, beyond the margin.
    check_loss(ContrastiveLoss(), reference=plain_contrastive, minimum=0.0)


@pytest.mark.parametrize("distance", [Distance.EUCLIDEAN, Distance.MANHATTAN])
@pytest.mark.parametrize("size_average", [False, True])
def test_battery_with_other_distances_and_sums(distance: Distance, size_average: bool) -> None:
    loss = ContrastiveLoss(distance, margin=1.0, size_average=size_average)
    check_loss(loss, reference=plain_contrastive, minimum=0.0, skip={"compile"})


@pytest.mark.slow
def test_within_one_subgroup_it_equals_sentence_transformers(
    columns: Callable[..., list[dict[str, Tensor]]], columns_model: nn.Module
) -> None:
    from sentence_transformers.sentence_transformer.losses import ContrastiveLoss as TheirLoss

    rows, scores = torch.randn(12, 5), torch.tensor([1.0, 0.0, 1.0, 1.0, 0.0, 0.0])
    theirs = TheirLoss(columns_model, margin=0.5)(columns(rows[:6], rows[6:]), scores)
    pairs = torch.arange(12).reshape(2, 6).T
    assert torch.allclose(ContrastiveLoss()(rows, pairs, scores, torch.zeros(12)), theirs)


def test_the_dot_product_is_refused() -> None:
    with pytest.raises(ValueError, match="ContrastiveLoss squares distances, and dot_product distances can be"):
        ContrastiveLoss(Distance.DOT_PRODUCT)


@pytest.mark.parametrize("score", [-0.1, 1.5])
def test_scores_outside_of_zero_to_one_are_found_when_fit_starts(score: float) -> None:
    targets = PairTargets(
        torch.tensor([[0, 2], [1, 3]]),
        torch.tensor([1.0, score]),
        torch.zeros(4).long(),
        torch.arange(4),
        torch.zeros(0, 2).long(),
    )
    with pytest.raises(ValueError, match=rf"needs scores in \[0, 1\], but 1 of 2 pairs .* the first {score}"):
        ContrastiveLoss().check_targets(targets)
    ContrastiveLoss().check_targets(targets._replace(scores=torch.tensor([1.0, 0.3])))
