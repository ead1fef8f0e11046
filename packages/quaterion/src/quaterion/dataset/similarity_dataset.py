"""A data set of (record, label) tuples seen as group samples."""

from collections.abc import Hashable, Iterator, Sized
from typing import Any, cast

from torch.utils.data import Dataset

from quaterion.dataset.similarity_samples import SimilarityGroupSample

__all__ = ["SimilarityGroupDataset"]


class SimilarityGroupDataset(Dataset[SimilarityGroupSample]):
    """Turns the `(record, label)` items of an ordinary classification data set into group samples.

    Args:
        dataset: Map-style data set (or list) whose items are `(record, label)`.

    Example:
        >>> data = SimilarityGroupDataset([("a cat", "animal"), ("a car", "machine")])
        >>> len(data), data[1]
        (2, SimilarityGroupSample(obj='a car', group='machine'))
    """

    def __init__(self, dataset: Any) -> None:
        super().__init__()
        self._dataset = dataset

    def __len__(self) -> int:
        return len(cast(Sized, self._dataset))

    def __getitem__(self, index: int) -> SimilarityGroupSample:
        item = self._dataset[index]
        try:
            record, label = item
        except (TypeError, ValueError) as error:
            raise TypeError(
                f"Item {index} of the data set is a {type(item).__name__}; expected a (record, label) tuple."
            ) from error
        return SimilarityGroupSample(obj=record, group=cast(Hashable, label))

    def __iter__(self) -> Iterator[SimilarityGroupSample]:
        return (self[index] for index in range(len(self)))
