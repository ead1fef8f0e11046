"""Filling a store: what is missing, in length-sorted batches, through the encoder once."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from quaterion.cache.embedding_store import EmbeddingStore
from quaterion.cache.key_index import distinct_keys
from quaterion.dataset.randomness import undisturbed_randomness
from quaterion.dataset.reading import SampleReading, sequential_loader
from quaterion.dataset.similarity_data_loader import SimilarityDataLoader

__all__ = ["FillPlan", "fill_store", "plan_fill"]


@dataclass(frozen=True)
class FillPlan:
    """Which objects to encode, in which batches.

    Args:
        objects: Batches of object numbers, longest objects first, so that padding is small and a batch that
            does not fit the memory shows itself at once.
        keys: uint8 `[T, 16]`, keys of all objects.
    """

    objects: list[NDArray[np.int64]]
    keys: NDArray[np.uint8]

    @property
    def count(self) -> int:
        """Number of objects to encode."""
        return sum(map(len, self.objects))


def plan_fill(
    store: EmbeddingStore, keys: NDArray[np.uint8], lengths: NDArray[np.int64], *, batch_size: int
) -> FillPlan:
    """Plans the encoding of every distinct object that a store lacks.

    The order depends on lengths and keys alone, so a fill that was interrupted after some whole batches goes on
    with the very batches that it would have made.

    Args:
        store: The store to fill.
        keys: uint8 `[T, 16]`, keys of all objects of the data set.
        lengths: int64 `[T]`.
        batch_size: Objects in a batch.

    Returns:
        The plan, empty if nothing is missing.
    """
    first, _ = distinct_keys(keys)
    missing = first[store.rows(keys[first]) < 0]
    words = np.ascontiguousarray(keys[missing]).view(">u8")
    ordered = missing[np.lexsort((words[:, 1], words[:, 0], -lengths[missing]))] if len(missing) else missing
    return FillPlan([ordered[i : i + batch_size] for i in range(0, len(ordered), batch_size)], keys)


def fill_store(
    store: EmbeddingStore,
    plan: FillPlan,
    reading: SampleReading,
    *,
    name: str,
    encode: Callable[[Any], Tensor],
    collate: Callable[[list[Any]], Any],
    key: Callable[[Any], bytes],
    loader: SimilarityDataLoader[Any],
    num_workers: int | None = None,
    on_progress: Callable[[int], object] = lambda _: None,
) -> None:
    """Encodes the planned objects and adds their vectors to the store.

    Whatever interrupts the fill, the batches done before are kept.

    Args:
        store: The store to fill.
        plan: What to encode.
        reading: The reading that the plan was made from.
        name: The encoder's key, for messages.
        encode: A collated batch to its vectors `[B, D]`, on the CPU, without gradients.
        collate: The encoder's collate step.
        key: The key of an object, compared with the plan's when the object is read again.
        loader: Whose data set the objects come from.
        num_workers: Processes that read and collate, as many as the loader's if None.
        on_progress: Called with the number of objects encoded after each batch.

    Raises:
        ValueError: The encoder gives NaN, infinite or wrongly sized vectors, or an object differs between reads.
        OSError: The vectors could not be written.
    """
    first = reading.offsets.numpy()
    numbers = [_references(first, batch) for batch in plan.objects]
    source: Dataset[Any] = (
        _Objects(loader, type(loader).objects_of) if reading.objects is None else _Kept(reading.objects, first)
    )
    batches: DataLoader[Any] = sequential_loader(
        loader, _CollateKeyed(collate, key), source, batch_sampler=_Batches(numbers), num_workers=num_workers
    )
    try:
        with undisturbed_randomness():
            for planned, (inputs, keys) in zip(plan.objects, batches, strict=True):
                _check_same(plan.keys[planned], keys, [int(np.searchsorted(first, i, "right")) - 1 for i in planned])
                vectors = encode(inputs)
                _check_vectors(vectors, count=len(planned), dimension=store.dimension, name=name)
                stored = vectors.to(store.dtype)
                if store.dtype == torch.float16 and not bool(torch.isfinite(stored).all()):
                    raise ValueError(
                        f"The encoder {name!r} gave values up to {float(vectors.abs().max()):.3g}, beyond float16. "
                        "Set CacheConfig(dtype='float32')."
                    )
                store.add(plan.keys[planned], stored.numpy())
                on_progress(len(planned))
    finally:
        store.flush()


Reference = tuple[int, int]
"""A sample's index, and which of its objects."""


def _references(first: NDArray[np.int64], objects: NDArray[np.int64]) -> list[Reference]:
    samples = np.searchsorted(first, objects, side="right") - 1
    return list(zip(samples.tolist(), (objects - first[samples]).tolist(), strict=True))


class _Objects(Dataset[Any]):
    """Single objects of a map-style data set of samples."""

    def __init__(self, loader: SimilarityDataLoader[Any], objects_of: Callable[[Any], list[Any]]) -> None:
        self._dataset: Any = loader.dataset
        self._objects_of = objects_of

    def __getitem__(self, reference: Reference) -> Any:
        sample, slot = reference
        return self._objects_of(self._dataset[sample])[slot]


class _Kept(Dataset[Any]):
    """Single objects that the reading kept, of a data set that can be read once only."""

    def __init__(self, objects: Sequence[Any], first: NDArray[np.int64]) -> None:
        self._objects, self._first = objects, first

    def __getitem__(self, reference: Reference) -> Any:
        sample, slot = reference
        return self._objects[self._first[sample] + slot]


class _Batches:
    """A batch sampler over given batches."""

    def __init__(self, batches: list[list[Reference]]) -> None:
        self._batches = batches

    def __iter__(self) -> Iterator[list[Reference]]:
        return iter(self._batches)

    def __len__(self) -> int:
        return len(self._batches)


class _CollateKeyed:
    """Collates a batch and digests its objects again."""

    def __init__(self, collate: Callable[[list[Any]], Any], key: Callable[[Any], bytes]) -> None:
        self._collate, self._key = collate, key

    def __call__(self, objects: list[Any]) -> tuple[Any, bytes]:
        # Keys first: a collate step may change its objects in place.
        keys = b"".join(map(self._key, objects))
        return self._collate(objects), keys


def _check_same(planned: NDArray[np.uint8], read: bytes, samples: list[int]) -> None:
    different = np.flatnonzero((planned != np.frombuffer(read, dtype=np.uint8).reshape(-1, 16)).any(axis=1))
    if len(different):
        raise ValueError(
            f"Sample {samples[int(different[0])]} differs between two reads of the data set, so its vectors cannot be "
            "cached. Expected the same object each time: take random transforms out of the data set, or set "
            "CacheConfig(cache_type=CacheType.NONE)."
        )


def _check_vectors(vectors: Tensor, *, count: int, dimension: int, name: str) -> None:
    if tuple(vectors.shape) != (count, dimension):
        raise ValueError(
            f"The encoder {name!r} gave a tensor of shape {list(vectors.shape)} for {count} objects; expected "
            f"[{count}, {dimension}], because its embedding_size is {dimension}. Mend embedding_size or forward."
        )
    if not bool(torch.isfinite(vectors).all()):
        row = int((~torch.isfinite(vectors)).any(dim=1).nonzero()[0])
        raise ValueError(
            f"The encoder {name!r} gave NaN or infinite values (object {row} of a batch of {count}); expected finite "
            "vectors. Check its weights, its inputs and its precision."
        )
