"""Reading single objects of a data set again, to encode them."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import Dataset

from quaterion.dataset.views import ViewedDataset

__all__ = ["KeptObjects", "KeyedCollate", "ObjectNumbers", "ObjectReference", "ReadObjects"]


class ObjectReference(NamedTuple):
    """Where an object is found.

    Args:
        sample: Index of a sample.
        slot: Which of the sample's objects.
        view: Which of the object's views.
    """

    sample: int
    slot: int
    view: int


class ObjectNumbers:
    """From the numbers of objects, K views of each side by side, to where they are found.

    Args:
        offsets: int64 `[N + 1]`, first object of each sample.
        views: K.

    Example:
        >>> ObjectNumbers(np.array([0, 2, 5]), views=2).references(np.array([3, 8]))
        [ObjectReference(sample=0, slot=1, view=1), ObjectReference(sample=1, slot=2, view=0)]
    """

    def __init__(self, offsets: NDArray[np.int64], *, views: int) -> None:
        self._offsets, self._views = offsets, views

    def samples(self, numbers: NDArray[np.int64]) -> NDArray[np.int64]:
        """Samples that objects belong to.

        Args:
            numbers: int64 `[B]`.
        """
        return np.searchsorted(self._offsets, numbers // self._views, side="right") - 1

    def references(self, numbers: NDArray[np.int64]) -> list[ObjectReference]:
        """Where objects are found.

        Args:
            numbers: int64 `[B]`.
        """
        samples = self.samples(numbers)
        slots = numbers // self._views - self._offsets[samples]
        columns = (samples.tolist(), slots.tolist(), (numbers % self._views).tolist())
        return [ObjectReference(*row) for row in zip(*columns, strict=True)]


class ReadObjects(Dataset[Any]):
    """Single objects of a map-style data set of samples.

    Args:
        dataset: The data set, one item a sample and view.
        objects_of: The objects of a sample.
    """

    def __init__(self, dataset: ViewedDataset, objects_of: Callable[[Any], list[Any]]) -> None:
        self._dataset, self._objects_of = dataset, objects_of

    def __getitem__(self, reference: ObjectReference) -> Any:
        sample = self._dataset.view(reference.sample, reference.view)
        return self._objects_of(sample)[reference.slot]


class KeptObjects(Dataset[Any]):
    """Single objects that a reading kept, of a data set that can be read once only.

    Args:
        objects: All objects, sample by sample.
        offsets: int64 `[N + 1]`, first object of each sample.
    """

    def __init__(self, objects: Sequence[Any], offsets: NDArray[np.int64]) -> None:
        self._objects, self._offsets = objects, offsets

    def __getitem__(self, reference: ObjectReference) -> Any:
        return self._objects[self._offsets[reference.sample] + reference.slot]


class KeyedCollate:
    """Collates a batch, and digests its objects again.

    Args:
        collate: The encoder's collate step.
        key: The key of an object.
    """

    def __init__(self, collate: Callable[[list[Any]], Any], key: Callable[[Any], bytes]) -> None:
        self._collate, self._key = collate, key

    def __call__(self, objects: list[Any]) -> tuple[Any, bytes]:
        """Turns objects into an encoder's input and their keys."""
        # Keys first: a collate step may change its objects in place.
        keys = b"".join(map(self._key, objects))
        return self._collate(objects), keys
