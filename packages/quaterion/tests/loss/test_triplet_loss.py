import math

import pytest
import torch
from pytorch_metric_learning import distances, losses, miners, reducers
from torch import Tensor

from quaterion.distances import Distance
from quaterion.loss import TripletLoss
from quaterion.testing import check_loss
from quaterion.testing.plain_losses import plain_triplet


@pytest.mark.parametrize("mining", ["hard", "semi_hard", "all"])
def test_battery(mining: str) -> None:
    # Ideal cosine distances are 0 and 1: 0 − 1 + 0.5 is below 0.
    check_loss(TripletLoss(mining=mining), reference=plain_triplet, minimum=0.0)


@pytest.mark.parametrize("mining", ["hard", "semi_hard", "all"])
@pytest.mark.parametrize("distance", [Distance.EUCLIDEAN, Distance.MANHATTAN, Distance.DOT_PRODUCT])
def test_battery_with_other_distances(mining: str, distance: Distance) -> None:
    # Ideal distances are 0 and √2, 0 and 2, −1 and 0: all differ by more than the margin.
    check_loss(TripletLoss(0.5, distance, mining), reference=plain_triplet, minimum=0.0, skip={"compile"})


def test_battery_with_a_soft_margin() -> None:
    check_loss(TripletLoss(soft=True), reference=plain_triplet, minimum=math.log(1 + math.exp(-1)), skip={"compile"})


@pytest.mark.parametrize("soft", [False, True])
def test_battery_with_relative_differences(soft: bool) -> None:
    # The mean it divides by is detached, which finite differences do not know.
    loss = TripletLoss(relative=True, soft=soft)
    check_loss(loss, reference=plain_triplet, skip={"gradcheck"} | ({"compile"} if soft else set()))


def test_hard_equals_pytorch_metric_learning(grouped: tuple[Tensor, Tensor]) -> None:
    cosine = distances.CosineSimilarity()
    theirs = losses.TripletMarginLoss(margin=0.5, distance=cosine, reducer=reducers.MeanReducer())
    mined = miners.BatchHardMiner(distance=cosine)(*grouped)
    assert torch.allclose(TripletLoss()(*grouped), theirs(*grouped, mined))


def test_all_equals_pytorch_metric_learning(grouped: tuple[Tensor, Tensor]) -> None:
    theirs = losses.TripletMarginLoss(margin=0.5, distance=distances.CosineSimilarity())
    assert torch.allclose(TripletLoss(mining="all")(*grouped), theirs(*grouped))


def test_unknown_mining_lists_the_known_ones() -> None:
    with pytest.raises(ValueError, match="unknown mining 'easy': expected one of 'hard', 'semi_hard', 'all'"):
        TripletLoss(mining="easy")  # type: ignore[arg-type]


def test_unknown_distance_lists_the_known_ones() -> None:
    with pytest.raises(ValueError, match="unknown distance 'cos': expected one of 'euclidean', 'cosine'"):
        TripletLoss(distance_metric_name="cos")


@pytest.mark.parametrize("margin", [-0.1, math.nan, math.inf])
def test_impossible_margins_are_refused(margin: float) -> None:
    with pytest.raises(ValueError, match="margin must be a finite number of at least 0, got"):
        TripletLoss(margin=margin)


def test_relative_needs_hard_mining_and_distances_that_are_never_negative() -> None:
    with pytest.raises(ValueError, match="relative=True needs mining='hard', got mining='all'"):
        TripletLoss(mining="all", relative=True)
    with pytest.raises(ValueError, match="dot_product distances can be negative: use cosine"):
        TripletLoss(distance_metric_name=Distance.DOT_PRODUCT, relative=True)


def test_soft_without_hard_mining_warns_that_it_is_ignored() -> None:
    with pytest.warns(UserWarning, match="soft=True means something with mining='hard' only"):
        loss = TripletLoss(mining="all", soft=True)
    embeddings, groups = torch.randn(8, 3), torch.arange(8) % 2
    assert loss(embeddings, groups) == TripletLoss(mining="all")(embeddings, groups)


def test_collapsed_embeddings_still_give_finite_relative_losses() -> None:
    embeddings = torch.ones(6, 3, requires_grad=True)
    loss = TripletLoss(relative=True)(embeddings, torch.arange(6) % 2)
    loss.backward()
    assert loss.item() == pytest.approx(0.5)  # 0 / 1e-6 + margin
    assert embeddings.grad is not None
    assert embeddings.grad.isfinite().all()
