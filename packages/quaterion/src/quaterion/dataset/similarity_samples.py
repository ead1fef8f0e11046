"""What a data set yields: one object of a group, or a pair of objects with a score."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

__all__ = ["SimilarityGroupSample", "SimilarityPairSample"]


@dataclass
class SimilarityGroupSample:
    """One object and the group it belongs to: objects of one group are similar.

    Args:
        obj: Anything the encoder takes.
        group: An int, a string, a tuple of them or another label that `group_id` takes. NaN is refused, because it
            equals nothing.

    Example:
        >>> SimilarityGroupSample("where is my card", group="card arrival")
        SimilarityGroupSample(obj='where is my card', group='card arrival')
    """

    obj: Any
    group: Hashable


@dataclass
class SimilarityPairSample:
    """Two objects and how similar they are.

    Args:
        obj_a: First object, the *anchor* (the query side of a two-sided model).
        obj_b: Second object, the *positive* where the score is 1 (the document side of a two-sided model).
        score: Similarity in [0, 1]; 1 is similar, 0 is not.
        subgroup: Objects of different subgroups are negatives of each other, objects of one subgroup are not.
            With one subgroup in the whole data set (the default) subgroups carry no information.
        negatives: Objects known to be dissimilar to `obj_a` (hard negatives), of the document side.

    Example:
        >>> SimilarityPairSample("capital of France", "Paris", negatives=["Lyon"]).score
        1.0
    """

    obj_a: Any
    obj_b: Any
    score: float = 1.0
    subgroup: Hashable = 0
    negatives: Sequence[Any] = ()
