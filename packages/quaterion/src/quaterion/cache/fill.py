"""Filling a store: what is missing, in length-sorted batches, through the encoder once."""

import functools
import itertools
import logging
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from quaterion.cache.embedding_store import EmbeddingStore
from quaterion.cache.exact_lengths import ExactLengths
from quaterion.cache.fill_plan import FillPlan, plan_fill
from quaterion.cache.object_source import KeptObjects, KeyedCollate, ObjectNumbers, ObjectReference, ReadObjects
from quaterion.dataset.object_reading import ObjectReading
from quaterion.dataset.randomness import undisturbed_randomness
from quaterion.dataset.reading import SampleReading, sequential_loader
from quaterion.dataset.similarity_data_loader import PairsSimilarityDataLoader, SimilarityDataLoader
from quaterion.dataset.views import ViewedDataset
from quaterion_models.encoders.token_states import RaggedStates

__all__ = ["Filling"]

logger = logging.getLogger(__name__)

WAIT_SECONDS = 0.2
"""How often to look whether other processes have encoded what they claimed."""

CPU_BATCH_SIZE = 32
LARGEST_BATCH_SIZE = 4096

AHEAD_BATCHES, AHEAD_BYTES = 32, 2**24
"""How much is prepared before it is encoded."""


@dataclass(frozen=True)
class Filling:
    """How one encoder's store is filled from one data set.

    Args:
        name: The encoder's key, for messages.
        store: The store to fill.
        reading: What the data set holds.
        loader: Whose data set the objects come from.
        encode: A collated batch to its vectors `[B, D]`, or the states of its tokens, on the CPU, without gradients.
        collate: The encoder's collate step.
        objects: How the cache sees an object; its key is compared with the planned one when it is read again.
        count: Tells the lengths of objects more closely than the reading did; None where nothing does.
        batch_size: Objects in a batch; "auto" for as many as fit.
        num_workers: Processes that read and collate, as many as the loader's if None.
        writers: How many processes of the same training fill the store together.
    """

    name: str
    store: EmbeddingStore
    reading: SampleReading
    loader: SimilarityDataLoader[Any]
    encode: Callable[[Any], Tensor | RaggedStates]
    collate: Callable[[list[Any]], Any]
    objects: ObjectReading
    batch_size: int
    num_workers: int | None = None
    count: Callable[[Sequence[Any]], list[int]] | None = None
    writers: int = 1

    def plan(self) -> FillPlan:
        """Plans what the store lacks now."""
        return plan_fill(self.store, self.reading.keys[self.name], self._lengths, batch_size=self.batch_size)

    @functools.cached_property
    def _lengths(self) -> Callable[[NDArray[np.int64]], NDArray[np.int64]]:
        read = self.reading.lengths[self.name]
        if self.count is None:
            return read.__getitem__
        return ExactLengths(
            self.count,
            self.objects.side_fn,
            self.loader,
            self._objects(),
            self._numbers,
            total=len(read),
            num_workers=self.num_workers,
        ).of

    def run(self, plan: FillPlan, on_progress: Callable[[int], object] = lambda _: None) -> None:
        """Encodes the planned objects and adds their vectors to the store.

        Other processes may fill the same folder: each object is encoded by one of them, and what another one claimed
        and did not live to encode is encoded here. A warning says once that others are waited for. Whatever interrupts
        a fill, the shards closed before are kept.

        Args:
            plan: What the store lacks.
            on_progress: Called with the number of objects that are done, after each batch.

        Raises:
            ValueError: The encoder gives NaN, infinite or wrongly sized vectors, or an object differs between reads.
            OSError: The vectors could not be written.
        """
        told = self.writers > 1  # that one waits for the others is no news then
        while len(plan):
            encoded = self._encode_unclaimed(plan, on_progress)
            self.store.refresh()
            rest = self.plan()
            on_progress(len(plan) - len(rest) - encoded)  # what others have done
            plan = rest
            if not encoded and len(plan):
                if not told:
                    logger.warning(
                        "Another process is encoding the %d objects that %s still lacks for the encoder %r: waiting "
                        "until it has written them. If it ends before, they are encoded here.",
                        len(plan), self.store.folder, self.name,
                    )  # fmt: skip
                told = True
                time.sleep(WAIT_SECONDS)

    def _encode_unclaimed(self, plan: FillPlan, on_progress: Callable[[int], object]) -> int:
        keys = self.reading.keys[self.name]
        batches = _ClaimedBatches(self.store, plan, keys, self._numbers, self.writers)
        encoded = 0
        try:
            references = iter(batches)
            first = next(references, None)
            if first is None:
                return 0  # before a loader starts its workers, which would have nothing to do
            loader: DataLoader[Any] = sequential_loader(
                self.loader,
                self._collate,
                self._objects(),
                batch_sampler=itertools.chain([first], references),
                num_workers=self.num_workers,
            )
            with undisturbed_randomness():
                for inputs, read in _read_ahead(loader, min(AHEAD_BATCHES, plan.portion(self.writers))):
                    planned = batches.claimed.pop(0)
                    self._check_same(planned, read)
                    vectors, counts = self._rows(inputs, len(planned))
                    self.store.add(keys[planned].repeat(counts, axis=0), vectors)
                    encoded += len(planned)
                    on_progress(len(planned))
        finally:
            self.store.flush()
        return encoded

    def _rows(self, inputs: Any, count: int) -> tuple[NDArray[Any], NDArray[np.int64]]:
        """Rows for the store, and how many of them each object has."""
        try:
            encoded = self.encode(inputs)
        except torch.OutOfMemoryError as error:
            raise torch.OutOfMemoryError(
                f"A batch of {count} objects of the encoder {self.name!r} does not fit the memory ({error}). Set a "
                "smaller CacheConfig(batch_size=...), or batch_size='auto'."
            ) from error
        tokens = isinstance(encoded, RaggedStates)
        vectors = encoded.values if isinstance(encoded, RaggedStates) else encoded
        counts = encoded.counts.numpy() if isinstance(encoded, RaggedStates) else np.ones(count, dtype=np.int64)
        rows = int(counts.sum())
        _check_vectors(vectors, count=rows, dimension=self.store.dimension, name=self.name)
        stored = vectors.to(self.store.dtype)
        if self.store.dtype == torch.float16 and not bool(torch.isfinite(stored).all()):
            raise ValueError(
                f"The encoder {self.name!r} gave values up to {float(vectors.abs().max()):.3g}, beyond float16. "
                f"Set CacheConfig({'states_dtype' if tokens else 'dtype'}='float32')."
            )
        return stored.numpy(), counts

    def fitting_batch_size(self, plan: FillPlan, device: torch.device) -> int:
        """Finds by trial how many of the longest objects the encoder takes at once.

        Args:
            plan: What is to be encoded, the longest first.
            device: Where the encoder runs.

        Returns:
            Half of the largest power of 2 that was found to fit, so that there is room to spare, and at least 1; 32 on
            a CPU. No more are tried than the plan has, nor more than 4,096.

        Raises:
            torch.OutOfMemoryError: Not even a single object fits.
        """
        if device.type == "cpu":
            return CPU_BATCH_SIZE
        objects: Any = self._objects()
        with undisturbed_randomness():
            longest = [objects[one] for one in self._numbers.references(plan.objects[:LARGEST_BATCH_SIZE])]
        size = 1
        while size <= len(longest):
            try:
                self.encode(self._collate(longest[:size])[0])
            except torch.OutOfMemoryError:
                if size == 1:
                    raise
                break
            size *= 2
        return max(1, size // 4)  # half of the last size that fitted

    @property
    def _collate(self) -> KeyedCollate:
        return KeyedCollate(self.collate, self.objects)

    @property
    def _numbers(self) -> ObjectNumbers:
        return ObjectNumbers(self.reading.offsets.numpy(), views=self.reading.views)

    def _objects(self) -> Dataset[Any]:
        sided = isinstance(self.loader, PairsSimilarityDataLoader)
        if self.reading.objects is not None:
            return KeptObjects(self.reading.objects, self.reading.offsets.numpy(), sided=sided)
        source = ViewedDataset(self.loader.dataset, views=self.reading.views)
        return ReadObjects(source, type(self.loader).objects_of, sided=sided)

    def _check_same(self, planned: NDArray[np.int64], read: bytes) -> None:
        expected = self.reading.keys[self.name][planned]
        different = (expected != np.frombuffer(read, dtype=np.uint8).reshape(-1, 16)).any(axis=1)
        if different.any():
            sample = int(self._numbers.samples(planned[different.argmax() :][:1])[0])
            raise ValueError(differing(f"Sample {sample}", views=self.reading.views))


def differing(what: str, *, views: int = 1) -> str:
    """The message about an object that differs between two reads.

    Args:
        what: Which object.
        views: Versions of each object that are to be cached.
    """
    if views > 1:
        return (
            f"{what} differs between two reads of the same view, so its vectors cannot be cached. "
            f"CacheConfig(views={views}) seeds the global generators of random, numpy.random and torch before it reads "
            "a view; expected a data set that draws from those. Take other generators out of it, or set "
            "CacheConfig(cache_type=CacheType.NONE)."
        )
    return (
        f"{what} differs between two reads of the data set, so its vectors cannot be cached. Expected the same object "
        "each time: take random transforms out of the data set, or cache K fixed versions of each object with "
        "CacheConfig(views=K), or set CacheConfig(cache_type=CacheType.NONE)."
    )


class _ClaimedBatches:
    """A batch sampler over a plan that claims a portion when it is about to be encoded.

    Args:
        store: The store to fill.
        plan: What it lacks.
        keys: uint8 `[T, 16]`, keys of all objects.
        numbers: Where objects are found.
        writers: How many are about to share the plan.
    """

    def __init__(
        self, store: EmbeddingStore, plan: FillPlan, keys: NDArray[np.uint8], numbers: ObjectNumbers, writers: int
    ) -> None:
        self._store, self._plan, self._keys, self._numbers, self._writers = store, plan, keys, numbers, writers
        self.claimed: list[NDArray[np.int64]] = []
        """Batches that were handed out, the oldest first."""

    def __iter__(self) -> Iterator[list[ObjectReference]]:
        for batches in self._plan.chunks(self._writers):
            free = self._store.claim(self._keys[np.concatenate(batches)])
            start = 0
            for batch in batches:
                ours = batch[free[start : start + len(batch)]]
                start += len(batch)
                if len(ours):
                    self.claimed.append(ours)
                    yield self._numbers.references(ours)


def _read_ahead(batches: Iterable[tuple[Any, bytes]], most: int) -> Iterator[tuple[Any, bytes]]:
    """The same batches, several prepared at a time, and no more of them than another process may wait for.

    After a forward torch's threads wait for work by spinning, for some milliseconds. A tokenizer that runs between two
    forwards shares the cores with them, and takes several times as long.
    """
    ahead: list[tuple[Any, bytes]] = []
    size = 0
    for batch in batches:
        ahead.append(batch)
        size += _size(batch[0])
        if size >= AHEAD_BYTES or len(ahead) == most:
            yield from ahead
            ahead, size = [], 0
    yield from ahead


def _size(inputs: Any) -> int:
    """Bytes of an encoder's input; as much as may be read ahead where that is not known."""
    if isinstance(inputs, Tensor):
        return inputs.nbytes
    if isinstance(inputs, Mapping):
        return sum(map(_size, inputs.values()))
    if isinstance(inputs, list | tuple):
        return sum(map(_size, inputs))
    return len(inputs) if isinstance(inputs, str | bytes) else AHEAD_BYTES


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
