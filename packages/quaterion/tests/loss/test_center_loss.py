from quaterion.loss import CenterLoss
from quaterion.testing import check_loss
from quaterion.testing.plain_losses import plain_center


def test_battery() -> None:
    check_loss(CenterLoss(8, 4), reference=plain_center, minimum=0.0)


def test_class_scores_classify() -> None:
    loss = CenterLoss(4, 3)
    assert loss.class_scores(loss.weight.detach()).argmax(dim=1).tolist() == [0, 1, 2]
