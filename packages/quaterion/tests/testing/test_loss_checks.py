import pytest

from quaterion.loss import ArcFaceLoss, ContrastiveLoss, SimilarityLoss, TripletLoss
from quaterion.testing.loss_case import LossCase, NotApplicable
from quaterion.testing.loss_checks import check_gradcheck, check_memory, check_reference, check_signs


def case(loss: SimilarityLoss) -> LossCase:
    return LossCase(loss, reference=None, minimum=None, embedding_size=8, seed=0, device="cpu")


def test_checks_say_why_they_do_not_apply() -> None:
    with pytest.raises(NotApplicable, match="no reference was passed"):
        check_reference(case(TripletLoss()))
    with pytest.raises(NotApplicable, match="compares with no other embeddings"):
        check_memory(case(ContrastiveLoss()))
    with pytest.raises(NotApplicable, match="compares with class weights"):
        check_signs(case(ArcFaceLoss(8, 4)))


def test_finite_differences_find_what_is_detached() -> None:
    with pytest.raises(AssertionError, match="the gradient is not the derivative of the value"):
        check_gradcheck(case(TripletLoss(relative=True)))
