"""Whether a metric has a value on samples."""

from collections import defaultdict
from collections.abc import Hashable, Sequence
from typing import Any

from quaterion.tuning.splits.contents import content_of
from quaterion.tuning.splits.folds import Form

__all__ = ["can_be_measured", "why_not"]


def can_be_measured(samples: Sequence[Any], form: Form, unseen_groups: bool) -> bool:
    """Whether there is something right, and something wrong, to be found among samples.

    Args:
        samples: The samples.
        form: What they are.
        unseen_groups: Whether objects of groups are searched among themselves.

    Example:
        >>> from quaterion.dataset import SimilarityPairSample as Pair
        >>> can_be_measured([Pair("a", "b", 0.5), Pair("c", "d", 0.5)], "scored pairs", unseen_groups=False)
        False
    """
    if form == "scored pairs":
        return len({sample.score for sample in samples}) > 1
    if form == "groups" and unseen_groups:
        objects: dict[Any, set[Hashable]] = defaultdict(set)
        for sample in samples:
            objects[sample.group].add(content_of(sample.obj))
        return any(len(some) > 1 for some in objects.values())
    return bool(samples)


def why_not(form: Form) -> str:
    """What is the matter where it cannot.

    Args:
        form: What the samples are.
    """
    return "all scores are equal" if form == "scored pairs" else "no group has two different objects"
