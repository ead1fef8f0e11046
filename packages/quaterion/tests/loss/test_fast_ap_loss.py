import pytest
import torch
from pytorch_metric_learning import losses
from torch import Tensor

from quaterion.loss import FastAPLoss
from quaterion.testing import check_loss
from quaterion.testing.plain_losses import plain_fast_ap


@pytest.mark.parametrize("num_bins", [10, 7])
def test_battery(num_bins: int) -> None:
    # A positive that moves into a bin of negatives can lower the precision there: no promise about signs.
    skip = {"signs"} if num_bins == 10 else {"signs", "compile"}
    check_loss(FastAPLoss(num_bins), reference=plain_fast_ap, minimum=0.0, skip=skip)


def test_it_equals_pytorch_metric_learning(grouped: tuple[Tensor, Tensor]) -> None:
    assert torch.allclose(FastAPLoss(10)(*grouped), losses.FastAPLoss(num_bins=10)(*grouped))


@pytest.mark.parametrize("num_bins", [0, 2.5, True])
def test_impossible_numbers_of_bins_are_refused(num_bins: int) -> None:
    with pytest.raises(ValueError, match="num_bins must be a whole number of at least 1"):
        FastAPLoss(num_bins)
