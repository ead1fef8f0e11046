import pytest
import torch
from pytorch_metric_learning import losses, miners
from torch import Tensor

from quaterion.distances import Distance
from quaterion.loss import MultiSimilarityLoss
from quaterion.testing import check_loss
from quaterion.testing.plain_losses import plain_multi_similarity


def test_battery() -> None:
    # Ideal embeddings have no pair that is harder than one of the other kind: nothing is mined.
    check_loss(MultiSimilarityLoss(), reference=plain_multi_similarity, minimum=0.0)


def test_battery_with_another_distance() -> None:
    loss = MultiSimilarityLoss(beta=10.0, distance_metric_name=Distance.EUCLIDEAN)
    check_loss(loss, reference=plain_multi_similarity, minimum=0.0, skip={"compile"})


def test_it_equals_pytorch_metric_learning(grouped: tuple[Tensor, Tensor]) -> None:
    theirs = losses.MultiSimilarityLoss(alpha=2, beta=50, base=0.5)
    mined = miners.MultiSimilarityMiner(epsilon=0.1)(*grouped)
    assert torch.allclose(MultiSimilarityLoss()(*grouped), theirs(*grouped, mined))


@pytest.mark.parametrize("name", ["alpha", "beta"])
def test_impossible_weights_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match=f"{name} must be a finite number greater than 0, got 0"):
        MultiSimilarityLoss(**{name: 0})


def test_a_base_that_is_no_number_is_refused() -> None:
    with pytest.raises(ValueError, match="base must be a finite number, got nan"):
        MultiSimilarityLoss(base=float("nan"))
