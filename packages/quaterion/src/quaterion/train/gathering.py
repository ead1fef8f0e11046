"""One batch out of the slices of several processes: targets in main memory, embeddings with their gradients."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import pad

from quaterion.batch import Batch, GroupTargets, PairTargets, RankRows
from quaterion.utils.ranks import Ranks

__all__ = ["check_slices", "gather_embeddings", "with_all_targets"]


def check_slices(batch: Any, trainer: Any) -> None:
    """Refuses to gather batches that are not slices of one.

    Args:
        batch: What a process was given.
        trainer: The Trainer, with several processes.

    Raises:
        ValueError: The batch is from a loader that Lightning has divided, which repeats samples so that all processes
            have as many, or from one that every process reads as a whole.
    """
    if not isinstance(batch, Batch) or trainer.state.fn != "fit":
        raise ValueError(
            f"trainer.{trainer.state.fn.value} got a loader with {trainer.world_size} processes, among which Lightning "
            "would divide it so that some samples count twice. Expected Quaterion.fit with its validation data; for "
            "anything else a Trainer(devices=1), or Quaterion.evaluate."
        )


def with_all_targets(batch: Batch, ranks: Ranks) -> Batch:
    """Gives a slice of a global batch the targets of the whole, in the order of a single process.

    Args:
        batch: A slice, its targets on the CPU. Rows of features beyond those of its targets do not count.
        ranks: The processes; all of them have to call this.

    Returns:
        The slice with the targets of all slices, and where their rows come from.
    """
    targets: GroupTargets | PairTargets
    if isinstance(batch.targets, GroupTargets):
        groups = [GroupTargets(*fields) for fields in _gathered(batch.targets, ranks)]
        places = _places_of_groups(groups)
        targets = GroupTargets(torch.cat([one.groups for one in groups]))
    else:
        pairs = [PairTargets(*fields) for fields in _gathered(batch.targets, ranks)]
        places = _places_of_pairs(pairs)
        targets = _joined_pairs(pairs, places)
    most = max(map(len, places))
    order = torch.empty(sum(map(len, places)), dtype=torch.int64)
    for rank, place in enumerate(places):
        order[place] = rank * most + torch.arange(len(place))
    return batch._replace(targets=targets, rows=RankRows(own=len(places[ranks.rank]), most=most, order=order))


def _gathered(targets: GroupTargets | PairTargets, ranks: Ranks) -> list[list[Any]]:
    """The fields of all processes' targets."""
    # As arrays: a tensor takes ten times as long to pickle.
    every = ranks.gather([one.numpy() if isinstance(one, Tensor) else one for one in targets])
    return [[torch.from_numpy(one) if isinstance(one, np.ndarray) else one for one in fields] for fields in every]


def gather_embeddings(embeddings: Tensor, rows: RankRows, all_gather: Callable[[Tensor], Tensor]) -> Tensor:
    """Embeddings of a global batch from those of the slices.

    Every process computes the loss of the whole batch, so the gather's backward pass, which sums over the processes,
    gives each slice W times its gradient. The mean over the W processes that DDP and FSDP take makes that exact, for
    what stands before the gather and for the loss's own weights, whose gradient is the same on all of them.

    Args:
        embeddings: `[R, D]`, of which `rows.own` count.
        rows: What `with_all_targets` found.
        all_gather: From `[most, D]` to `[W, most, D]`, with gradients.

    Returns:
        `[B, D]` in the order of the targets.
    """
    padded = pad(embeddings[: rows.own], (0, 0, 0, rows.most - rows.own))
    return all_gather(padded).reshape(-1, embeddings.shape[1]).index_select(0, rows.order)


def _places_of_groups(slices: list[GroupTargets]) -> list[Tensor]:
    """Where in the global batch the rows of each slice stand."""
    rows = torch.arange(sum(len(one.groups) for one in slices))
    return list(torch.split(rows, [len(one.groups) for one in slices]))


def _places_of_pairs(slices: list[PairTargets]) -> list[Tensor]:
    """Where the rows of each slice stand: all anchors come first, then all partners, then all negatives."""
    pairs = [len(one.scores) for one in slices]
    negatives = [len(one.ids) - 2 * count for one, count in zip(slices, pairs, strict=True)]
    parts = torch.split(torch.arange(2 * sum(pairs) + sum(negatives)), [*pairs, *pairs, *negatives])
    count = len(slices)
    return [torch.cat(parts[rank::count]) for rank in range(count)]


def _joined_pairs(slices: list[PairTargets], places: list[Tensor]) -> PairTargets:
    pairs = sum(len(one.scores) for one in slices)
    subgroups = torch.empty(2 * pairs, dtype=torch.int64)
    ids = torch.empty(sum(map(len, places)), dtype=torch.int64)
    for one, place in zip(slices, places, strict=True):
        subgroups[place[: len(one.subgroups)]] = one.subgroups
        ids[place] = one.ids
    return PairTargets(
        pairs=torch.cat([place[one.pairs] for one, place in zip(slices, places, strict=True)]),
        scores=torch.cat([one.scores for one in slices]),
        subgroups=subgroups,
        ids=ids,
        negatives=torch.cat([place[one.negatives] for one, place in zip(slices, places, strict=True)]),
        subgroups_used=slices[0].subgroups_used,
    )
