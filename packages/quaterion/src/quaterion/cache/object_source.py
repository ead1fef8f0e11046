"""Reading single objects of a data set again, to encode them."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import Dataset

from quaterion.dataset.object_reading import ObjectReading, side_of
from quaterion.dataset.views import ViewedDataset
from quaterion_models.collate import prepared
from quaterion_models.encode.readable import NOT_OF_AN_OBJECT

__all__ = ["KeptObjects", "KeyedCollate", "ObjectNumbers", "ObjectReference", "ReadObjects", "SidedObject"]


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


class SidedObject(NamedTuple):
    """An object, the side it stands on, and where it was found.

    Args:
        obj: The object.
        side: `"query"` or `"document"`.
        sample: Index of its sample.
    """

    obj: Any
    side: str
    sample: int


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
    """Single objects of a map-style data set of samples, each with its side.

    Args:
        dataset: The data set, one item a sample and view.
        objects_of: The objects of a sample.
        sided: Whether the objects of a sample stand on two sides; otherwise all are queries.
    """

    def __init__(self, dataset: ViewedDataset, objects_of: Callable[[Any], list[Any]], *, sided: bool) -> None:
        self._dataset, self._objects_of, self._sided = dataset, objects_of, sided

    def __getitem__(self, reference: ObjectReference) -> SidedObject:
        sample = self._dataset.view(reference.sample, reference.view)
        obj = self._objects_of(sample)[reference.slot]
        return SidedObject(obj, side_of(reference.slot if self._sided else 0), reference.sample)


class KeptObjects(Dataset[Any]):
    """Single objects that a reading kept, of a data set that can be read once only, each with its side.

    Args:
        objects: All objects, sample by sample.
        offsets: int64 `[N + 1]`, first object of each sample.
        sided: Whether the objects of a sample stand on two sides; otherwise all are queries.
    """

    def __init__(self, objects: Sequence[Any], offsets: NDArray[np.int64], *, sided: bool) -> None:
        self._objects, self._offsets, self._sided = objects, offsets, sided

    def __getitem__(self, reference: ObjectReference) -> SidedObject:
        obj = self._objects[self._offsets[reference.sample] + reference.slot]
        return SidedObject(obj, side_of(reference.slot if self._sided else 0), reference.sample)


class KeyedCollate:
    """Collates a batch, and digests its objects again.

    Args:
        collate: The encoder's collate step.
        reading: How the encoder's cache sees an object.
    """

    def __init__(self, collate: Callable[[list[Any]], Any], reading: ObjectReading) -> None:
        self._collate, self._reading = collate, reading

    def __call__(self, objects: list[SidedObject]) -> tuple[Any, bytes]:
        """Turns objects into an encoder's input and their keys.

        Args:
            objects: B objects, in the order of their lengths.

        Returns:
            The input, and B keys of 16 bytes.

        Raises:
            Exception: What the collate step raises, with a note that says which sample it is about.
        """
        try:
            return self._collated(objects)
        except NOT_OF_AN_OBJECT:
            raise
        except Exception:
            for one in objects:
                try:
                    self._collated([one])
                except NOT_OF_AN_OBJECT:
                    raise
                except Exception as error:
                    error.add_note(f"The object ({type(one.obj).__name__}) is one of sample {one.sample}")
                    raise error from None  # the batch's own error tells a place in a batch that nobody knows
            raise

    def _collated(self, objects: list[SidedObject]) -> tuple[Any, bytes]:
        given, sides = [one.obj for one in objects], [one.side for one in objects]
        # Keys first: a collate step may change its objects in place.
        keys = self._reading.keys(given, sides)
        return self._collate(prepared(given, sides, self._reading.side_fn)), keys
