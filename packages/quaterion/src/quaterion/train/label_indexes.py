"""Which labels the rows of class weights stand for: an index for each loss that has some."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from torch import Tensor, nn

from quaterion.dataset.labels import LabelIndex
from quaterion.loss import CombinedLoss, SimilarityLoss

__all__ = ["DataSetLabels", "LabelIndexes", "losses_by_name"]


class DataSetLabels(NamedTuple):
    """The labels of one training set.

    Args:
        source: Name of the data set, where its loss is its own; None where all data sets share the losses.
        ids: int64 `[N]`, ids of the labels.
        names: The label behind each id.
    """

    source: str | None
    ids: Tensor
    names: dict[int, Any]


def losses_by_name(loss: SimilarityLoss | None) -> Mapping[str, SimilarityLoss]:
    """The losses of a combination by their names; any other loss under an empty name.

    Args:
        loss: The loss.

    Returns:
        Losses by name.
    """
    if isinstance(loss, CombinedLoss):
        return {name: loss.loss_of(name) for name in loss.names}
    return {} if loss is None else {"": loss}


class LabelIndexes(nn.Module):
    """A `LabelIndex` for each loss with class weights, so that data sets with losses of their own number their labels
    on their own, and losses that share the data share one numbering.

    Args:
        loss: The model's loss.

    Example:
        >>> import torch
        >>> from quaterion.loss import SoftmaxLoss
        >>> loss = CombinedLoss({"news": (SoftmaxLoss(8, 2), 1.0), "mail": (SoftmaxLoss(8, 3), 1.0)})
        >>> indexes = LabelIndexes(loss)
        >>> indexes.learn(DataSetLabels("mail", torch.tensor([70, 90]), {}))
        >>> indexes.of("mail").labels, indexes.of("news").labels
        ([70, 90, None], [None, None])
    """  # noqa: D205

    def __init__(self, loss: SimilarityLoss | None) -> None:
        super().__init__()
        found = {name: getattr(part, "num_groups", None) for name, part in losses_by_name(loss).items()}
        counts = {name: count for name, count in found.items() if count is not None}
        self._places = {name: place for place, name in enumerate(counts)}
        self._smallest = min(self._places, key=counts.__getitem__, default=None)
        # A list: names with a dot cannot be keys of a ModuleDict.
        self._indexes = nn.ModuleList(LabelIndex(count) for count in counts.values())

    def of(self, source: str | None) -> LabelIndex | None:
        """The index of a data set's loss, None if it has no class weights.

        Args:
            source: Name of the data set, None for the numbering that all losses share.
        """
        place = self._places.get(self._smallest if source is None else source)  # type: ignore[arg-type]
        return None if place is None else self._indexes[place]  # type: ignore[return-value]

    def learn(self, labels: DataSetLabels) -> None:
        """Takes up the labels of a training set, for its own loss or for all.

        Args:
            labels: The labels.

        Raises:
            ValueError: There are more groups than rows of class weights.
        """
        index = self.of(labels.source)
        if index is None:
            return
        index.learn(labels.ids, labels.names)
        if labels.source is None:
            for other in self._indexes:
                if isinstance(other, LabelIndex) and other is not index:
                    other.follow(index)
