"""Class weights of a trained loss, for inference."""

from typing import Any

from torch import Tensor

from quaterion.loss import GroupLoss, SimilarityLoss
from quaterion_models.class_weights import ClassWeights

__all__ = ["trained_class_weights"]


def trained_class_weights(loss: SimilarityLoss, labels: list[Any]) -> ClassWeights | None:
    """The class weights of a loss or of one of its parts, None if there are none.

    Args:
        loss: The loss.
        labels: Label of each class.

    Returns:
        A copy for inference.
    """
    for module in loss.modules():
        weight = getattr(module, "weight", None)
        if isinstance(module, GroupLoss) and module.num_groups is not None and isinstance(weight, Tensor):
            return ClassWeights(labels, weight, cosine=getattr(module, "normalize", True))
    return None
