"""Class weights of a trained loss, for inference."""

from collections.abc import Iterator

from quaterion.loss import CenterLoss, CombinedLoss, GroupLoss, SimilarityLoss
from quaterion.train.label_indexes import LabelIndexes, losses_by_name
from quaterion_models.class_weights import ClassWeights

__all__ = ["trained_class_weights"]


def trained_class_weights(loss: SimilarityLoss, indexes: LabelIndexes) -> ClassWeights | None:
    """The class weights of a loss or of one of its parts, None if there are none.

    Of several parts it is the one with the largest weight in the sum, of those that keep classes apart: the centres of
    a `CenterLoss` serve where nothing else does.

    Args:
        loss: The loss.
        indexes: Labels of the classes of each loss.

    Returns:
        A copy for inference.
    """
    shares = dict(zip(loss.names, loss.weights, strict=True)) if isinstance(loss, CombinedLoss) else {"": 1.0}
    found = [
        (not isinstance(classifier, CenterLoss), share, classifier, index)
        for name, part in losses_by_name(loss).items()
        if (index := indexes.of(name)) is not None
        for classifier, share in _classifiers(part, shares[name])
    ]
    if not found:
        return None
    _, _, best, index = max(found, key=lambda one: one[:2])
    vectors = best.class_vectors
    if vectors is None or best.num_groups is None:
        return None
    # A loss inside another one may have room for more classes than the data's labels were numbered for.
    labels = [*index.labels, *[None] * (best.num_groups - len(index.labels))]
    return ClassWeights(labels, vectors, cosine=getattr(best, "normalize", True))


def _classifiers(loss: SimilarityLoss, share: float) -> Iterator[tuple[GroupLoss, float]]:
    """The losses with class weights among the parts of a loss, each with its weight in the sum."""
    if isinstance(loss, GroupLoss) and loss.class_vectors is not None:
        yield loss, share
        return
    parts = [(part, 1.0) for part in loss.children()]
    if isinstance(loss, CombinedLoss):
        parts = list(zip(loss.losses, loss.weights, strict=True))
    for part, weight in parts:
        if isinstance(part, SimilarityLoss):
            yield from _classifiers(part, share * weight)
