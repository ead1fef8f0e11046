"""The base of every retrieval metric."""

import operator
from abc import ABC, abstractmethod
from collections.abc import Callable

import torch
from torch import Tensor

from quaterion.distances import Distance
from quaterion.functional.ranked_lists import RankedLists

__all__ = ["ReduceFunction", "RetrievalMetric", "UnscorableSetError", "checked_k"]

ReduceFunction = Callable[[Tensor], Tensor]


class UnscorableSetError(ValueError):
    """A set of objects on which a retrieval metric has no value: empty, of one group, or with nothing relevant."""


class RetrievalMetric(ABC):
    """A score of ranked lists, one for each query, and how the scores become one value.

    Derive from `GroupMetric` or `PairMetric`, which know what is relevant to a query.

    Args:
        distance_metric_name: How embeddings are compared.
        reduce_func: Makes one value of the scores of all queries that have something relevant. None keeps the
            scores: one for each query, in the order of the embeddings' rows, NaN where nothing is relevant.

    Attributes:
        distance_metric_name: As given.
        reduce_func: As given.
        num_left_out: Queries with nothing relevant, which the last value leaves out.

    Raises:
        ValueError: The distance is unknown.
    """

    def __init__(
        self,
        distance_metric_name: Distance | str = Distance.COSINE,
        reduce_func: ReduceFunction | None = torch.mean,
    ) -> None:
        self.distance_metric_name = Distance(distance_metric_name)
        self.reduce_func = reduce_func
        self.num_left_out = 0

    @property
    @abstractmethod
    def depth(self) -> int | None:
        """Leading positions of a ranked list that the score looks at; None for as many as are relevant."""

    @abstractmethod
    def score(self, lists: RankedLists) -> Tensor:
        """Scores ranked lists.

        Args:
            lists: Ranked lists of B queries, described down to `depth` or deeper.

        Returns:
            float64 `[B]`, NaN where nothing is relevant.
        """

    def reduce(self, scores: Tensor) -> Tensor:
        """Makes the metric's value of the scores of all queries, and counts those left out.

        Args:
            scores: `[Q]`, NaN where nothing is relevant.

        Returns:
            What `reduce_func` makes of the other scores, or all of them as `[Q]` where it is None; in
            float32.
        """
        missing = scores.isnan()
        self.num_left_out = int(missing.sum())
        return scores.float() if self.reduce_func is None else self.reduce_func(scores[~missing].float())


def checked_k(k: int) -> int:
    """Returns the number of leading candidates that a metric looks at, as an int.

    Args:
        k: As the user gave it.

    Raises:
        TypeError: It is no integer.
        ValueError: It is below 1.

    Example:
        >>> checked_k(10)
        10
    """
    try:
        number = operator.index(k)
    except TypeError:
        raise TypeError(f"k={k!r} is a {type(k).__name__}; expected an integer of 1 or more, such as k=10.") from None
    if number < 1:
        raise ValueError(f"k={number}; expected 1 or more: a metric looks at the first k candidates, such as k=10.")
    return number
