"""One pass over a data set: targets, content keys and lengths of everything in it, and no object kept."""

import math
import re
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset

from quaterion.dataset.randomness import undisturbed_randomness
from quaterion.dataset.similarity_data_loader import PairsSimilarityDataLoader, SimilarityDataLoader, object_ids
from quaterion.dataset.target_table import GroupTable, PairTable, TargetTable
from quaterion_models.collate import ModelCollate

__all__ = ["ObjectReading", "SampleReading", "read_data_set", "sequential_loader"]

CHUNK = 256
"""Samples read at a time: large enough that a worker's message costs little, small beside any data set."""


KEY_BYTES = 16


_SAMPLE = re.compile(r"\bSample (\d+):")
"""How errors name a sample, by its place in the chunk."""


class ObjectReading(NamedTuple):
    """How one encoder's cache sees an object.

    Args:
        key: Digest of an object, 16 bytes.
        length: Cost of encoding an object, used to sort (characters of a text, say).
    """

    key: Callable[[Any], bytes]
    length: Callable[[Any], int]


@dataclass
class SampleReading:
    """What one pass over a data set found.

    Args:
        table: Targets of all samples.
        offsets: int64 `[N + 1]`, first object of each sample, then T.
        keys: For each encoder, uint8 `[T, 16]`.
        lengths: For each encoder, int64 `[T]`.
        metas: For each object the dictionary that heads route by; None where all are empty.
        label_names: The label behind each group id, for ids that are no plain ints.
        objects: The objects themselves, only where the data set cannot be read twice.
        complete: The whole data set was read, not only what fitted into the given time.
    """

    table: TargetTable
    offsets: Tensor
    keys: dict[str, NDArray[np.uint8]]
    lengths: dict[str, NDArray[np.int64]]
    metas: list[dict[str, Any]] | None
    label_names: dict[int, Any] = field(default_factory=dict)
    objects: list[Any] | None = None
    complete: bool = True


class _Chunk(NamedTuple):
    counts: list[int]
    keys: dict[str, bytes]
    lengths: dict[str, list[int]]
    ids: list[int]
    metas: list[dict[str, Any]]
    labels: dict[str, Tensor]
    names: list[Any]
    objects: list[Any] | None


class _ReadChunk:
    """Collate step that reads samples where the loader's workers are, so that only digests travel back."""

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

    def __call__(self, samples: list[Any]) -> _Chunk:
        labels = self.loader_type.collate_labels(samples)
        per_sample = [self.loader_type.objects_of(sample) for sample in samples]
        objects = [obj for one in per_sample for obj in one]
        is_pair = issubclass(self.loader_type, PairsSimilarityDataLoader)
        sided = is_pair and self.two_sided
        sides = [_side(slot) for one in per_sample for slot in range(len(one))] if sided else None
        return _Chunk(
            counts=[len(one) for one in per_sample],
            keys={name: _joined_keys(reading.key, objects) for name, reading in self.readings.items()},
            lengths={name: [reading.length(obj) for obj in objects] for name, reading in self.readings.items()},
            ids=object_ids(objects) if is_pair else [],
            metas=self.model_collate.meta(objects, sides),
            labels=labels,
            names=[] if is_pair else [sample.group for sample in samples],
            objects=objects if self.keep_objects else None,
        )


def _joined_keys(key: Callable[[Any], bytes], objects: list[Any]) -> bytes:
    keys = [key(obj) for obj in objects]
    for one in keys:
        if len(one) != KEY_BYTES:
            raise ValueError(
                f"{getattr(key, '__qualname__', key)} returned {len(one)} bytes ({one!r}); expected {KEY_BYTES} bytes, "
                "such as a digest of the object: see quaterion_models.content_key."
            )
    return b"".join(keys)


def _side(slot: int) -> str:
    return "query" if slot == 0 else "document"


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


def read_data_set(
    loader: SimilarityDataLoader[Any],
    readings: Mapping[str, ObjectReading],
    model_collate: ModelCollate,
    *,
    two_sided: bool = False,
    max_seconds: float = math.inf,
) -> SampleReading:
    """Reads every sample of a loader's data set once, in the data set's order, with the loader's workers.

    Args:
        loader: Whose data set is read. Neither it nor any global random state changes.
        readings: How each cached encoder sees an object, by encoder.
        model_collate: Gives the dictionaries that heads route by.
        two_sided: Whether the model treats queries and documents differently.
        max_seconds: Stop after this time with what was read.

    Returns:
        Targets, keys and lengths of everything in the data set.

    Raises:
        TypeError: An item is no sample, or a group is unhashable.
        ValueError: The data set is empty, or a group is NaN.
    """
    keep = isinstance(loader.dataset, IterableDataset)
    collate = _ReadChunk(type(loader), readings, model_collate, two_sided=two_sided, keep_objects=keep)
    chunks: list[_Chunk] = []
    complete = True
    stop = time.monotonic() + max_seconds
    with undisturbed_randomness():
        reader = iter(sequential_loader(loader, collate, batch_size=CHUNK))
        while True:
            try:
                chunk = next(reader)
            except StopIteration:
                break
            except (TypeError, ValueError) as error:
                read = sum(len(chunk.counts) for chunk in chunks)
                raise type(error)(_renumbered(str(error), read)) from error
            chunks.append(chunk)
            if time.monotonic() > stop:
                complete = False
                break
    if not chunks:
        raise ValueError("The data set is empty. Expected at least one sample: check where its items come from.")
    return replace(_join(chunks, readings, pairs=isinstance(loader, PairsSimilarityDataLoader)), complete=complete)


def _renumbered(message: str, read: int) -> str:
    """An error's message with the place of the sample in the data set instead of that in its chunk."""
    return _SAMPLE.sub(lambda found: f"Sample {int(found[1]) + read}:", message)


def _join(chunks: list[_Chunk], readings: Mapping[str, ObjectReading], *, pairs: bool) -> SampleReading:
    offsets = torch.tensor([0, *_each(chunks, "counts")]).cumsum(0)
    metas = list(_each(chunks, "metas"))
    table: TargetTable
    names: dict[int, Any] = {}
    if pairs:
        halves = [len(chunk.counts) for chunk in chunks]
        subgroups = [chunk.labels["subgroups"][:half] for chunk, half in zip(chunks, halves, strict=True)]
        scores = torch.cat([chunk.labels["labels"] for chunk in chunks])
        table = PairTable(offsets, scores, torch.cat(subgroups), torch.tensor(list(_each(chunks, "ids"))))
    else:
        groups = torch.cat([chunk.labels["groups"] for chunk in chunks])
        table = GroupTable(groups)
        names = dict(zip(groups.tolist(), _each(chunks, "names"), strict=True))
    return SampleReading(
        table=table,
        offsets=offsets,
        keys={
            name: np.frombuffer(b"".join(chunk.keys[name] for chunk in chunks), dtype=np.uint8).reshape(-1, KEY_BYTES)
            for name in readings
        },
        lengths={
            name: np.fromiter((n for chunk in chunks for n in chunk.lengths[name]), dtype=np.int64) for name in readings
        },
        metas=metas if any(metas) else None,
        label_names=names,
        objects=list(_each(chunks, "objects")) if chunks[0].objects is not None else None,
    )


def _each(chunks: list[_Chunk], field_name: str) -> Iterator[Any]:
    return (value for chunk in chunks for value in getattr(chunk, field_name))
