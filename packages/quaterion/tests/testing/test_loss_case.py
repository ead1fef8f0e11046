import torch

from quaterion.loss import ArcFaceLoss, SimilarityLoss, TripletLoss
from quaterion.testing.loss_case import LossCase


def case(loss: SimilarityLoss) -> LossCase:
    return LossCase(loss, reference=None, minimum=None, embedding_size=8, seed=0, device="cpu")


def test_random_batches_come_again_with_the_seed() -> None:
    first, again = case(TripletLoss()).problems(), case(TripletLoss()).problems()
    assert all(torch.equal(a.embeddings, b.embeddings) for a, b in zip(first, again, strict=True))


def test_a_copy_is_tested_in_float64() -> None:
    loss = ArcFaceLoss(8, 4)
    copy = case(loss).copy()
    assert next(copy.parameters()).dtype == torch.float64
    assert loss.weight.dtype == torch.float32
