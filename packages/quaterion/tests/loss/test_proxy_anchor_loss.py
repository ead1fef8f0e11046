import math

import pytest
import torch
from pytorch_metric_learning import losses
from torch import Tensor

from quaterion.loss import ProxyAnchorLoss
from quaterion.testing import check_loss
from quaterion.testing.plain_losses import plain_proxy_anchor


def test_battery() -> None:
    # Ideal: each proxy has four objects at cosine 1 and twelve of others at 0; α = 32, δ = 0.1.
    minimum = math.log1p(4 * math.exp(-32 * 0.9)) + math.log1p(12 * math.exp(32 * 0.1))
    check_loss(ProxyAnchorLoss(8, 4), reference=plain_proxy_anchor, minimum=minimum)


def test_it_equals_pytorch_metric_learning(grouped: tuple[Tensor, Tensor]) -> None:
    ours, theirs = ProxyAnchorLoss(16, 9).double(), losses.ProxyAnchorLoss(9, 16, margin=0.1, alpha=32).double()
    theirs.proxies.data = ours.weight.detach().clone()
    assert torch.allclose(ours(*grouped), theirs(*grouped))


def test_class_scores_classify() -> None:
    loss = ProxyAnchorLoss(4, 3)
    assert loss.class_scores(loss.weight.detach()).argmax(dim=1).tolist() == [0, 1, 2]


@pytest.mark.parametrize("margin", ["x", float("nan")])
def test_a_margin_that_is_no_number_is_refused(margin: float) -> None:
    with pytest.raises(ValueError, match=f"margin must be a finite number, got {margin!r}"):
        ProxyAnchorLoss(8, 4, margin=margin)
