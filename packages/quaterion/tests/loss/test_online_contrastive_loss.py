import pytest

from quaterion.distances import Distance
from quaterion.loss import OnlineContrastiveLoss
from quaterion.testing import check_loss
from quaterion.testing.plain_losses import plain_online_contrastive


@pytest.mark.parametrize("mining", ["hard", "all"])
def test_battery(mining: str) -> None:
    # Ideal distances are 0 within a group and 1, beyond the margin, between groups.
    check_loss(OnlineContrastiveLoss(mining=mining), reference=plain_online_contrastive, minimum=0.0)


@pytest.mark.parametrize("mining", ["hard", "all"])
@pytest.mark.parametrize("distance", [Distance.EUCLIDEAN, Distance.MANHATTAN])
def test_battery_with_other_distances(mining: str, distance: Distance) -> None:
    loss = OnlineContrastiveLoss(1.0, distance, mining)
    check_loss(loss, reference=plain_online_contrastive, minimum=0.0, skip={"compile"})


def test_the_dot_product_is_refused() -> None:
    with pytest.raises(ValueError, match="OnlineContrastiveLoss squares distances, and dot_product distances can be"):
        OnlineContrastiveLoss(distance_metric_name="dot_product")


def test_unknown_mining_lists_the_known_ones() -> None:
    with pytest.raises(ValueError, match="unknown mining 'semi_hard': expected one of 'hard', 'all'"):
        OnlineContrastiveLoss(mining="semi_hard")  # type: ignore[arg-type]
