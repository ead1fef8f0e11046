"""Samples of one part of the data that would let a model know another part."""

from collections.abc import Hashable, Sequence
from typing import Any, Literal

from quaterion.tuning.splits.contents import content_of

__all__ = ["shared_documents", "without_copies"]


def without_copies(
    samples: Sequence[Any], others: Sequence[Any], form: Literal["groups", "pairs", "scored pairs"]
) -> list[Any]:
    """Samples that have no object of other samples.

    Args:
        samples: The samples.
        others: The other samples.
        form: What they are. Of `"pairs"`, an object that is the positive or a negative on both sides does not count:
            a search for other queries over the same documents is no copy.

    Example:
        >>> from quaterion.dataset import SimilarityPairSample as Pair
        >>> train = [Pair("capital of France", "Paris"), Pair("biggest French city", "Paris")]
        >>> without_copies(train, [Pair("capital of France", "the city of Paris")], "pairs")
        [SimilarityPairSample(obj_a='biggest French city', obj_b='Paris', score=1.0, subgroup=0, negatives=())]
    """
    if form == "groups":
        objects = {content_of(other.obj) for other in others}
        return [sample for sample in samples if content_of(sample.obj) not in objects]
    anchors = {content_of(other.obj_a) for other in others}
    everything = anchors | _documents(others)
    taken = anchors if form == "pairs" else everything
    return [
        sample
        for sample in samples
        if content_of(sample.obj_a) not in everything and taken.isdisjoint(_documents([sample]))
    ]


def shared_documents(samples: Sequence[Any], others: Sequence[Any]) -> int:
    """Number of objects that are positives or negatives of pairs on both sides.

    Args:
        samples: Pairs.
        others: Other pairs.
    """
    return len(_documents(samples) & _documents(others))


def _documents(pairs: Sequence[Any]) -> set[Hashable]:
    return {content_of(obj) for pair in pairs for obj in (pair.obj_b, *pair.negatives)}
