"""Whether all processes of a training have read the same data, of which each takes its slice."""

from collections.abc import Iterable
from hashlib import blake2b
from typing import Any, NamedTuple

import numpy as np
from torch import Tensor
from torch.utils.data import IterableDataset

from quaterion.batch import PairTargets
from quaterion.cache.prepare import BatchSource
from quaterion.dataset.randomness import undisturbed_randomness
from quaterion.dataset.reading import SampleReading
from quaterion.dataset.similarity_data_loader import SimilarityDataLoader
from quaterion_models.content_key import content_key

__all__ = ["ReadData", "check_same_data"]

PROBES = 3
"""Samples of a data set that are compared, from the first to the last."""


class ReadData(NamedTuple):
    """A data set that a process has read.

    Args:
        name: What to call it, such as "training set".
        loader: Its loader.
        reading: What was found in it; None where nothing was read.
    """

    name: str
    loader: SimilarityDataLoader[Any]
    reading: SampleReading | None


def check_same_data(source: BatchSource, data: Iterable[ReadData]) -> None:
    """Refuses processes that have read different data, or would cache the vectors of different encoders.

    Args:
        source: What has read them; all processes have to call this.
        data: The data sets, in the same order in all of them.

    Raises:
        ValueError: Two processes differ; all of them raise it.
    """
    if source.ranks.size == 1:
        return
    own: dict[str, Any] = {
        f"the weights or settings of the encoder {key!r}": source.fingerprint(key) for key in source.cached
    }
    for one in data:
        own |= _settings(one)
        own |= _content(one, cached=bool(source.cached))
    every = source.ranks.gather(own)
    for what in dict.fromkeys(what for facts in every for what in facts):
        known = [(rank, facts[what]) for rank, facts in enumerate(every) if facts.get(what) is not None]
        for rank, fact in known[1:]:
            if fact != known[0][1]:
                numbers = f" ({fact} and {known[0][1]})" if isinstance(fact, int) else ""
                raise ValueError(
                    f"Process {rank} differs from process {known[0][0]} in {what}{numbers}. Expected the same in all "
                    "processes, of which each takes its slice: the same settings, and the same data, seeded where it "
                    "is drawn at random (pl.seed_everything), sorted where it comes from a set or a folder, and read "
                    "as a whole."
                )


def _settings(data: ReadData) -> dict[str, Any]:
    """What the number and the order of messages depend on: where it differs, processes wait for each other forever."""
    loader = data.loader
    facts: dict[str, Any] = {
        "batch size": loader.batch_size,
        "drop_last": loader.drop_last,
        "num_workers": loader.num_workers,
        "prefetch_factor": loader.prefetch_factor,
    }
    if not isinstance(loader.dataset, IterableDataset):
        facts |= {"length": len(loader.dataset), "number of batches": len(loader)}  # type: ignore[arg-type]
    return {f"the {what} of the {data.name}": fact for what, fact in facts.items()}


def _content(data: ReadData, *, cached: bool) -> dict[str, Any]:
    """Digests of a data set, None where nothing can be told: a stream, or what is drawn at random in each read."""
    probes = _probes(data.loader)
    reading = data.reading
    # What is trained on raw may be random, as augmented pictures are; what is cached was found to stay as it is.
    stays = cached or bool(probes and all(probes))
    digest = _digest(reading) if reading is not None and reading.complete and stays else None
    return {f"the targets or objects of the {data.name}": digest} | {
        f"a sample of the {data.name}": b"".join(probe or b"" for probe in probes) if all(probes) and probes else None
    }


def _probes(loader: SimilarityDataLoader[Any]) -> list[bytes | None]:
    """Content of a few samples, None for one that is another in each read, or that cannot be compared."""
    dataset: Any = loader.dataset
    if isinstance(dataset, IterableDataset):
        return []
    places = sorted({round(i * (len(dataset) - 1) / (PROBES - 1)) for i in range(PROBES)})
    with undisturbed_randomness():
        return [_key(dataset[place], dataset[place]) for place in places]


def _key(first: Any, second: Any) -> bytes | None:
    try:
        key = content_key(first)
        return key if content_key(second) == key else None
    except TypeError:
        return None


def _digest(reading: SampleReading) -> bytes:
    digest = blake2b(digest_size=16)
    targets = reading.table.all()
    if isinstance(targets, PairTargets):  # objects without readable content have other ids in each process
        targets = targets._replace(ids=targets.ids[:0])
    for one in (reading.offsets, *targets, *reading.keys.values()):
        array = one.numpy() if isinstance(one, Tensor) else np.asarray(one)
        digest.update(np.ascontiguousarray(array).data if array.ndim else repr(one).encode())
    return digest.digest()
