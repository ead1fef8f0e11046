"""Lengths of objects as their encoder counts them, looked up only for those that are about to be encoded."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import Dataset

from quaterion.cache.object_source import ObjectNumbers, SidedObject
from quaterion.dataset.randomness import undisturbed_randomness
from quaterion.dataset.reading import CHUNK, sequential_loader
from quaterion.dataset.similarity_data_loader import SimilarityDataLoader
from quaterion_models.collate import prepared
from quaterion_models.encode import counted
from quaterion_models.encoders import Encoder
from quaterion_models.encoders.field_encoder import FieldEncoder
from quaterion_models.encoders.switch_encoder import SwitchEncoder
from quaterion_models.types import SideFnType

__all__ = ["ExactLengths", "counts_lengths"]

_PASS_ON = (Encoder.lengths, FieldEncoder.lengths, SwitchEncoder.lengths)


def counts_lengths(encoder: Encoder) -> bool:
    """Whether an encoder, or one inside it, knows lengths more closely than its quick estimate.

    Args:
        encoder: The encoder.

    Returns:
        True where looking at the objects once more pays, as for text, whose tokens are counted.
    """
    inside = [module for module in encoder.modules() if isinstance(module, Encoder)]
    return any(type(one).lengths not in _PASS_ON for one in inside)


class ExactLengths:
    """Reads objects to ask the encoder for their lengths, each once.

    Batches by characters are padded by a quarter, batches by tokens by a hundredth.

    Args:
        count: The encoder's `lengths`.
        side_fn: What prepares an object for its side.
        loader: Whose data set the objects come from.
        objects: Single objects by where they are found.
        numbers: Where objects are found.
        total: Objects in the data set.
        num_workers: Processes that read and count, as many as the loader's if None.
    """

    def __init__(
        self,
        count: Callable[[Sequence[Any]], list[int]],
        side_fn: SideFnType | None,
        loader: SimilarityDataLoader[Any],
        objects: Dataset[Any],
        numbers: ObjectNumbers,
        *,
        total: int,
        num_workers: int | None,
    ) -> None:
        self._collate = _Count(count, side_fn)
        self._loader, self._objects, self._numbers, self._num_workers = loader, objects, numbers, num_workers
        self._known = np.full(total, -1, dtype=np.int64)

    def of(self, objects: NDArray[np.int64]) -> NDArray[np.int64]:
        """Lengths of objects.

        Args:
            objects: int64 `[M]`, numbers of objects.

        Returns:
            int64 `[M]`.
        """
        unknown = objects[self._known[objects] < 0]
        if len(unknown):
            chunks = [unknown[start : start + CHUNK] for start in range(0, len(unknown), CHUNK)]
            reader = sequential_loader(
                self._loader,
                self._collate,
                self._objects,
                batch_sampler=[self._numbers.references(chunk) for chunk in chunks],
                num_workers=self._num_workers,
            )
            with undisturbed_randomness():
                for chunk, lengths in zip(chunks, reader, strict=True):
                    self._known[chunk] = lengths
        return self._known[objects]


class _Count:
    """Collate step that returns lengths only; picklable for workers."""

    def __init__(self, count: Callable[[Sequence[Any]], list[int]], side_fn: SideFnType | None) -> None:
        self._count, self._side_fn = count, side_fn

    def __call__(self, objects: list[SidedObject]) -> list[int]:
        given, sides = [one.obj for one in objects], [one.side for one in objects]
        return counted(self._count, prepared(given, sides, self._side_fn))
