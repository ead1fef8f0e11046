"""One pass over a data set: targets, content keys and lengths of everything in it, and no object kept."""

import math
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sized
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset

from quaterion.dataset.object_reading import KEY_BYTES, ObjectReading, side_of
from quaterion.dataset.randomness import undisturbed_randomness
from quaterion.dataset.similarity_data_loader import PairsSimilarityDataLoader, SimilarityDataLoader, object_ids
from quaterion.dataset.target_table import GroupTable, PairTable, TargetTable
from quaterion.dataset.views import ViewedDataset
from quaterion_models.collate import ModelCollate
from quaterion_models.meta import Meta

__all__ = ["SampleReading", "differing_sample", "read_data_set", "sequential_loader"]

CHUNK = 256
"""Samples read at a time: large enough that a worker's message costs little, small beside any data set."""

MOST_UNCOUNTED = 1_000_000
"""Objects of an iterable data set without a length after which reading stops, since it may never end."""

_SAMPLE = re.compile(r"\bSample (\d+):")
"""How errors name a sample, by its place in the chunk."""


@dataclass
class SampleReading:
    """What one pass over a data set found: N samples with T objects, of each object K views.

    Args:
        table: Targets of all samples.
        offsets: int64 `[N + 1]`, first object of each sample, then T.
        keys: For each encoder, uint8 `[T · K, 16]`, an object's views side by side.
        lengths: For each encoder, int64 `[T · K]`.
        metas: For each object the dictionary that heads route by; None where all are empty.
        label_names: The label behind each group id.
        objects: The objects themselves, only where the data set cannot be read twice.
        complete: The whole data set was read, not only what fitted into the given time.
        batch_sizes: Of a stream that several workers read, the samples in each batch, since every worker fills batches
            of its own; None where batches are as large as the loader says.
        views: K.
    """

    table: TargetTable
    offsets: Tensor
    keys: dict[str, NDArray[np.uint8]]
    lengths: dict[str, NDArray[np.int64]]
    metas: Meta | None = None
    label_names: dict[int, Any] = field(default_factory=dict)
    objects: list[Any] | None = None
    complete: bool = True
    views: int = 1
    batch_sizes: list[int] | None = None


class _Chunk(NamedTuple):
    counts: NDArray[np.int64]
    keys: dict[str, bytes]
    lengths: dict[str, NDArray[np.int64]]
    ids: NDArray[np.int64] | None
    metas: list[dict[str, Any]] | None
    labels: dict[str, NDArray[Any]]
    names: dict[int, Any]
    objects: list[Any] | None


class _ReadChunk:
    """Collate step that reads samples where the loader's workers are, so that only digests travel back.

    An item is a list of a sample's views, of which the first one has the targets.
    """

    def __init__(
        self,
        loader_type: type[SimilarityDataLoader[Any]],
        readings: Mapping[str, ObjectReading],
        model_collate: ModelCollate,
        *,
        two_sided: bool,
        keep_objects: bool,
    ) -> None:
        self.loader_type = loader_type
        self.readings = dict(readings)
        self.model_collate = model_collate
        self.two_sided = two_sided
        self.keep_objects = keep_objects

    def __call__(self, items: list[list[Any]]) -> _Chunk:
        try:
            return self._read(items)
        except (TypeError, ValueError) as error:
            if _SAMPLE.search(str(error)):
                raise
            for place, item in enumerate(items):
                with _naming(place):
                    self._read([item])
            raise

    def _read(self, items: list[list[Any]]) -> _Chunk:
        first = [views[0] for views in items]
        labels = self.loader_type.collate_labels(first)
        per_sample = [self.loader_type.objects_of(sample) for sample in first]
        objects = [obj for one in per_sample for obj in one]
        viewed = objects if len(items[0]) == 1 else self._views(items)
        is_pair = issubclass(self.loader_type, PairsSimilarityDataLoader)
        sided = is_pair and self.two_sided
        sides = [side_of(slot) for one in per_sample for slot in range(len(one))] if sided else None
        views = len(items[0])
        viewed_sides = [side for side in sides for _ in range(views)] if sides else None
        metas = self.model_collate.meta(objects, sides)
        kept = {"groups", "subgroups", "labels"}
        arrays = {name: tensor.numpy() for name, tensor in labels.items() if name in kept}
        return _Chunk(
            counts=np.array([len(one) for one in per_sample], dtype=np.int64),
            keys={name: reading.keys(viewed, viewed_sides) for name, reading in self.readings.items()},
            lengths={name: reading.lengths(viewed, viewed_sides) for name, reading in self.readings.items()},
            ids=_array(object_ids(objects)) if is_pair else None,
            metas=metas if any(metas) else None,
            labels=arrays,
            names={} if is_pair else dict(zip(arrays["groups"].tolist(), [s.group for s in first], strict=True)),
            objects=objects if self.keep_objects else None,
        )

    def _views(self, items: list[list[Any]]) -> list[Any]:
        """The views of each object side by side."""
        return [
            obj
            for views in items
            for slot in zip(*map(self.loader_type.objects_of, views), strict=True)
            for obj in slot
        ]


@contextmanager
def _naming(sample: int) -> Iterator[None]:
    """Has an error say which sample it is about."""
    try:
        yield
    except (TypeError, ValueError) as error:
        if _SAMPLE.search(str(error)):
            raise
        kind = TypeError if isinstance(error, TypeError) else ValueError
        raise kind(f"Sample {sample}: {error}") from error


def _array(numbers: Any) -> NDArray[np.int64]:
    return np.fromiter(numbers, dtype=np.int64)


def sequential_loader(
    loader: DataLoader[Any],
    collate: Callable[[list[Any]], Any],
    dataset: Any = None,
    *,
    num_workers: int | None = None,
    **batching: Any,
) -> DataLoader[Any]:
    """A loader over a data set with the workers of another one, drawing nothing from any random generator in use.

    Args:
        loader: Whose workers' settings are taken.
        collate: Collate step of the new loader.
        dataset: Data set of the new loader, that of `loader` if None.
        num_workers: Number of workers, as many as `loader` has if None.
        **batching: `batch_size`, or `batch_sampler`.

    Returns:
        A new loader in the data set's own order, with a generator of its own.
    """
    workers: dict[str, Any] = {}
    num_workers = loader.num_workers if num_workers is None else num_workers
    if num_workers:
        workers = {
            "worker_init_fn": loader.worker_init_fn,
            "multiprocessing_context": loader.multiprocessing_context,
            "prefetch_factor": loader.prefetch_factor,
            "timeout": loader.timeout,
        }
    return DataLoader(
        loader.dataset if dataset is None else dataset,
        num_workers=num_workers,
        collate_fn=collate,
        generator=torch.Generator().manual_seed(0),
        **workers,
        **batching,
    )


class _Stream(IterableDataset[Any]):
    """The items of an iterable data set, each as a list of one view."""

    def __init__(self, dataset: Any) -> None:
        self._dataset = dataset

    def __iter__(self) -> Iterator[list[Any]]:
        return ([item] for item in self._dataset)


def read_data_set(
    loader: SimilarityDataLoader[Any],
    readings: Mapping[str, ObjectReading],
    model_collate: ModelCollate,
    *,
    two_sided: bool = False,
    max_seconds: float = math.inf,
    views: int = 1,
    max_objects: int | None = None,
) -> SampleReading:
    """Reads every sample of a loader's data set once, in the data set's order, with the loader's workers.

    Args:
        loader: Whose data set is read. Neither it nor any global random state changes.
        readings: How each cached encoder sees an object, by encoder.
        model_collate: Gives the dictionaries that heads route by.
        two_sided: Whether the model treats queries and documents differently.
        max_seconds: Stop after this time with what was read.
        views: K, versions to read of each item of a map-style data set.
        max_objects: Objects to take of an iterable data set that has no length.

    Returns:
        Targets, keys and lengths of everything in the data set.

    Raises:
        TypeError: An item is no sample, a group is unhashable, or an iterable data set is to have views.
        ValueError: The data set is empty or gives no end, or a group is NaN.
    """
    stream = isinstance(loader.dataset, IterableDataset)
    if stream and views > 1:
        raise TypeError(
            f"CacheConfig(views={views}) reads items again, which the iterable {type(loader.dataset).__name__} cannot. "
            "Expected a data set with items by index."
        )
    source: Any = _Stream(loader.dataset) if stream else ViewedDataset(loader.dataset, views=views)
    limit = _Limit(max_objects) if stream and not isinstance(loader.dataset, Sized) else None
    collate = _ReadChunk(type(loader), readings, model_collate, two_sided=two_sided, keep_objects=stream)
    chunks: list[_Chunk] = []
    names: dict[int, Any] = {}
    complete = True
    stop = time.monotonic() + max_seconds
    with undisturbed_randomness():
        by_worker = stream and loader.num_workers > 0
        size = (loader.batch_size or 1) if by_worker else CHUNK
        reader = iter(sequential_loader(loader, collate, source, batch_size=size))
        while True:
            try:
                chunk = next(reader)
            except StopIteration:
                break
            except (TypeError, ValueError) as error:
                read = sum(len(chunk.counts) for chunk in chunks)
                raise type(error)(_renumbered(str(error), read)) from error
            if limit is not None:
                chunk = limit.cut(chunk)
            names |= chunk.names
            chunks.append(chunk._replace(names={}))  # millions of samples may have few labels
            if limit is not None and limit.reached:
                break
            if time.monotonic() > stop:
                complete = False
                break
    _check_any(chunks, max_objects)
    reading = _join(chunks, readings, pairs=isinstance(loader, PairsSimilarityDataLoader))
    reading.complete, reading.views, reading.label_names = complete, views, names
    if by_worker:
        reading.batch_sizes = [len(chunk.counts) for chunk in chunks]
    return reading


def _check_any(chunks: list[_Chunk], max_objects: int | None) -> None:
    if not chunks:
        raise ValueError("The data set is empty. Expected at least one sample: check where its items come from.")
    if not len(chunks[0].counts):
        raise ValueError(
            f"max_objects={max_objects} is less than the objects of the first sample. Give a larger number."
        )


class _Limit:
    """How much is read of an iterable data set that does not say where it ends.

    Args:
        objects: Objects to take; None for all, with an error once there are too many.
    """

    def __init__(self, objects: int | None) -> None:
        self._objects = objects
        self._left = MOST_UNCOUNTED if objects is None else objects
        self.reached = False

    def cut(self, chunk: _Chunk) -> _Chunk:
        """The samples of a chunk that still fit."""
        fitting = int((chunk.counts.cumsum() <= self._left).sum())
        self._left -= int(chunk.counts[:fitting].sum())
        if fitting == len(chunk.counts):
            self.reached = self._left == 0 and self._objects is not None
            return chunk
        if self._objects is None:
            raise ValueError(
                f"The iterable data set has no __len__ and gave more than {MOST_UNCOUNTED:,} objects. Expected an end: "
                "say with CacheConfig(max_objects=...) how many to take, or give the data set a __len__."
            )
        self.reached = True
        return _first_samples(chunk, fitting)


def _first_samples(chunk: _Chunk, count: int) -> _Chunk:
    objects = int(chunk.counts[:count].sum())
    return chunk._replace(
        counts=chunk.counts[:count],
        keys={name: keys[: objects * KEY_BYTES] for name, keys in chunk.keys.items()},
        lengths={name: lengths[:objects] for name, lengths in chunk.lengths.items()},
        ids=None if chunk.ids is None else chunk.ids[:objects],
        metas=None if chunk.metas is None else chunk.metas[:objects],
        labels={name: values[:count] for name, values in chunk.labels.items()},
        objects=None if chunk.objects is None else chunk.objects[:objects],
    )


def differing_sample(
    loader: SimilarityDataLoader[Any], readings: Mapping[str, ObjectReading], *, tries: int = 3
) -> int | None:
    """Reads a few samples of a map-style data set twice, to find random transforms before a long reading.

    Args:
        loader: Whose data set is looked at. Neither it nor any global random state changes.
        readings: How each cached encoder sees an object.
        tries: How many samples to look at, from the first to the last.

    Returns:
        Index of a sample that differs between two reads, None where none was found.
    """
    dataset: Any = loader.dataset
    objects_of = type(loader).objects_of
    if isinstance(dataset, IterableDataset) or not hasattr(dataset, "__len__"):
        return None
    places = sorted({round(i * (len(dataset) - 1) / max(1, tries - 1)) for i in range(tries)})
    with undisturbed_randomness():
        for place in places:
            with _naming(place):
                reads = [[reading.keys(objects_of(dataset[place])) for reading in readings.values()] for _ in range(2)]
            if any(one != other for one, other in pairwise(reads)):
                return place
    return None


def _renumbered(message: str, read: int) -> str:
    """An error's message with the place of the sample in the data set instead of that in its chunk."""
    return _SAMPLE.sub(lambda found: f"Sample {int(found[1]) + read}:", message)


def _join(chunks: list[_Chunk], readings: Mapping[str, ObjectReading], *, pairs: bool) -> SampleReading:
    offsets = torch.from_numpy(np.concatenate([np.zeros(1, np.int64), *(chunk.counts for chunk in chunks)])).cumsum(0)
    table: TargetTable
    if pairs:
        subgroups = [chunk.labels["subgroups"][: len(chunk.counts)] for chunk in chunks]
        ids = [chunk.ids for chunk in chunks if chunk.ids is not None]
        scores = _tensor([chunk.labels["labels"] for chunk in chunks])
        table = PairTable(offsets, scores, _tensor(subgroups), _tensor(ids))
    else:
        table = GroupTable(_tensor([chunk.labels["groups"] for chunk in chunks]))
    return SampleReading(
        table=table,
        offsets=offsets,
        keys={
            name: np.frombuffer(b"".join(chunk.keys[name] for chunk in chunks), dtype=np.uint8).reshape(-1, KEY_BYTES)
            for name in readings
        },
        lengths={name: np.concatenate([chunk.lengths[name] for chunk in chunks]) for name in readings},
        metas=_metas(chunks),
        objects=None if chunks[0].objects is None else [obj for chunk in chunks for obj in chunk.objects or ()],
    )


def _tensor(arrays: list[NDArray[Any]]) -> Tensor:
    return torch.from_numpy(np.concatenate(arrays))


def _metas(chunks: list[_Chunk]) -> Meta | None:
    if all(chunk.metas is None for chunk in chunks):
        return None
    return Meta.join(
        Meta.empty(int(chunk.counts.sum())) if chunk.metas is None else Meta.of(chunk.metas) for chunk in chunks
    )
