"""Global batches, and the slice of each that one of several processes encodes."""

import copy
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from itertools import count, islice
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import BatchSampler, IterableDataset, Sampler

from quaterion.batch import Batch, GroupTargets, PairTargets
from quaterion.dataset.batch_samplers import UniqueSubgroupBatchSampler
from quaterion.dataset.raw_collate import KeyedBatch
from quaterion.dataset.similarity_samples import SimilarityGroupSample, SimilarityPairSample
from quaterion.utils.ranks import Ranks
from quaterion_models.content_key import content_key

__all__ = ["AgreedStream", "RankBatches", "RankSlices", "SlicedStream", "widened"]

AHEAD = 64
"""Batches that the first process draws and tells at a time."""

LoaderT = TypeVar("LoaderT")


def widened(loader: LoaderT, ranks: Ranks) -> LoaderT:
    """A loader that draws global batches: what a single process would, with so many times the batch size.

    `batch_size` counts the samples of one process. A batch sampler (of one's own, or of P groups × K samples) composes
    whole global batches.

    Args:
        loader: A loader, which stays as it is.
        ranks: The processes.

    Returns:
        A loader over the same data set, sampler and generator.
    """
    drawn: Any = copy.copy(loader)
    batch_sampler, changed = drawn.batch_sampler, {}
    if drawn.batch_size is not None:
        changed["batch_size"] = drawn.batch_size * ranks.size
        if not isinstance(drawn.dataset, IterableDataset):
            changed["batch_sampler"] = BatchSampler(drawn.sampler, changed["batch_size"], drawn.drop_last)
    elif isinstance(batch_sampler, UniqueSubgroupBatchSampler):
        changed["batch_sampler"] = batch_sampler.widened(ranks.size)
    vars(drawn).update(changed)  # past DataLoader, which refuses changes: nobody has begun to iterate the copy
    return drawn  # type: ignore[no-any-return]


class RankSlices(Sampler[list[int]]):
    """This process's slice of every global batch, in the order of a single process.

    The first process draws, and tells the others, which draw nothing: whatever a sampler's randomness is, all train on
    slices of the same batches. In place of an empty slice comes the first sample of the batch, as a filler that every
    parameter can take part in encoding.

    Args:
        batches: Global batches of sample indices, with a length.
        ranks: The processes.

    Attributes:
        fillers: Of the slices that were handed out and not asked about, whether each is a filler.

    Example:
        >>> slices = RankSlices([[3, 1, 2], [0]], Ranks(0, 2))
        >>> list(slices), list(slices.fillers)
        ([[3], [0]], [False, True])
    """

    def __init__(self, batches: Any, ranks: Ranks) -> None:
        self._batches, self._ranks = batches, ranks
        self.fillers: deque[bool] = deque()

    def __len__(self) -> int:
        return len(self._batches)

    def __iter__(self) -> Iterator[list[int]]:
        fillers: deque[bool] = deque()
        self.fillers = fillers  # those of an epoch that was broken off are not asked about any more
        for batch in self._agreed():
            own = batch[self._ranks.share(len(batch))]
            fillers.append(not len(own))
            yield (own if len(own) else batch[:1]).tolist()

    def _agreed(self) -> Iterator[NDArray[np.int64]]:
        drawn = iter(self._batches) if self._ranks.rank == 0 else iter(())
        while True:
            ahead = self._ranks.broadcast([np.asarray(batch, dtype=np.int64) for batch in islice(drawn, AHEAD)])
            yield from ahead
            if len(ahead) < AHEAD:
                return


class RankBatches:
    """The batches of slices; those of fillers have no targets, which tells that their rows do not count.

    Args:
        batches: An iterable of `Batch`, one for each slice.
        slices: The slices.
    """

    def __init__(self, batches: Iterable[Batch], slices: RankSlices) -> None:
        self._batches, self._slices = batches, slices

    def __len__(self) -> int:
        return len(self._slices)

    def __iter__(self) -> Iterator[Batch]:
        for batch in self._batches:
            yield _without_targets(batch) if self._slices.fillers.popleft() else batch


class SlicedStream:
    """Collate step of an iterable data set, which every process reads, and of whose batches each takes its slice.

    Args:
        collate: Collate step of the slice.
        ranks: The processes.
    """

    def __init__(self, collate: Callable[[list[Any]], KeyedBatch], ranks: Ranks) -> None:
        self._collate, self._ranks = collate, ranks

    def __call__(self, samples: list[Any]) -> KeyedBatch:
        """Turns the samples of a global batch into a batch of this process."""
        own = samples[self._ranks.share(len(samples))]
        keyed = self._collate(own or samples[:1])
        batch = keyed.batch if own else _without_targets(keyed.batch)
        return keyed._replace(batch=batch, whole=_glance(samples))


class AgreedStream:
    """The batches of a stream, as long as all processes have read the same.

    One whose stream ends before the others' would let them wait for it, and one with a share of the stream of its own
    would take a slice of that.

    Args:
        batches: What a `SlicedStream` has collated.
        ranks: The processes; all of them have to iterate.
    """

    def __init__(self, batches: Iterable[KeyedBatch], ranks: Ranks) -> None:
        self._batches, self._ranks = batches, ranks

    def __len__(self) -> int:
        batches: Any = self._batches
        return len(batches)

    def __iter__(self) -> Iterator[KeyedBatch]:
        batches = iter(self._batches)
        for number in count():
            keyed = next(batches, None)
            every = self._ranks.gather(None if keyed is None else keyed.whole)
            if len(set(every)) > 1:
                ended = [rank for rank, one in enumerate(every) if one is None]
                raise ValueError(
                    f"The iterable data set gave the processes different samples for batch {number}"
                    f"{f', and the processes {ended} none' if ended else ''}. Expected the same of each, from which it "
                    "takes its slice: do not divide the data set among processes, and seed what it draws at random."
                )
            if keyed is None:
                return
            yield keyed


def _glance(samples: list[Any]) -> bytes:
    """How many samples there are, and a digest of their labels and texts: pictures may be augmented at random."""
    size = len(samples).to_bytes(8, "big")
    try:
        return size + content_key([_labels_and_texts(sample) for sample in samples])
    except TypeError:
        return size


def _labels_and_texts(sample: Any) -> list[Any]:
    if isinstance(sample, SimilarityGroupSample):
        labels, objects = [sample.group], [sample.obj]
    elif isinstance(sample, SimilarityPairSample):
        labels, objects = [sample.score, sample.subgroup], [sample.obj_a, sample.obj_b, *sample.negatives]
    else:  # a collate function of the user's own takes it
        labels, objects = [], [sample]
    return [*labels, *(obj for obj in objects if isinstance(obj, str | bytes))]


def _without_targets(batch: Batch) -> Batch:
    targets = batch.targets
    if isinstance(targets, GroupTargets):
        return batch._replace(targets=GroupTargets(targets.groups[:0]))
    pairs, scores, subgroups, ids, negatives = (tensor[:0] for tensor in targets[:5])
    return batch._replace(targets=PairTargets(pairs, scores, subgroups, ids, negatives, targets.subgroups_used))
