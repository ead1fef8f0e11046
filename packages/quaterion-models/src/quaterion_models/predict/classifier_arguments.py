"""Arguments of classifiers, checked."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal, get_args

import torch
from torch import Tensor

Method = Literal["knn", "weights", "both"]
"""What decides: the nearest labelled examples, the class weights of training, or the mean of their probabilities."""


def places_of(labels: Sequence[Any]) -> dict[Any, int]:
    """Numbers labels.

    Args:
        labels: Labels, each once.

    Returns:
        Each with its place.

    Raises:
        ValueError: If there is none, one stands there twice, is None or cannot be compared.
    """
    try:
        places = {label: place for place, label in enumerate(labels)}
    except TypeError as error:
        raise ValueError(f"labels must be plain values, such as texts or integers: {error}") from error
    if not labels or len(places) != len(labels) or None in places:
        raise ValueError(
            f"expected one label or more, each once and none of them None (which means none of these), got "
            f"{len(labels)} with {len(places)} different ones"
        )
    return places


def checked_method(method: str) -> Any:
    """Checks a method.

    Raises:
        ValueError: If there is no such.
    """
    if method not in get_args(Method):
        raise ValueError(f'method must be "knn", "weights" or "both", got {method!r}')
    return method


def checked_threshold(threshold: float | None) -> float | None:
    """Checks a threshold.

    Raises:
        ValueError: If it is neither None nor a finite number.
    """
    if threshold is None:
        return None
    if not isinstance(threshold, int | float) or isinstance(threshold, bool) or not math.isfinite(threshold):
        raise ValueError(f"threshold must be a similarity, such as 0.6, or None, got {threshold!r}")
    return float(threshold)


def numbered(
    count: int, labels: Sequence[Any], *, before: Sequence[Any] = (), after: Sequence[Any] = ()
) -> tuple[list[Any], Tensor]:
    """Numbers the labels of examples in the order in which they first occur.

    Args:
        count: Number of examples.
        labels: The label of each.
        before: Labels that are numbered first.
        after: Labels that are numbered last.

    Returns:
        Every label once, and the number of each example's label, int64 `[count]`.

    Raises:
        ValueError: If there is not a label for each example, or there is no example; or as of `places_of`.

    Example:
        >>> numbered(3, ["dog", "cat", "dog"], before=["cat"])
        (['cat', 'dog'], tensor([1, 0, 1]))
    """
    if count != len(labels) or not count:
        raise ValueError(
            f"expected a label for each example, one or more, got {count} examples and {len(labels)} labels"
        )
    distinct = list(dict.fromkeys([*before, *labels, *after]))
    places = places_of(distinct)
    return distinct, torch.tensor([places[one] for one in labels], dtype=torch.int64)


def places_among(labels: Sequence[Any], places: Mapping[Any, int]) -> Tensor:
    """Finds labels among those of a classifier.

    Args:
        labels: Labels.
        places: Those of the classifier with their places.

    Returns:
        The place of each, int64 `[N]`.

    Raises:
        ValueError: If one is not there.
    """
    unknown = next((one for one in labels if one not in places), None)
    if unknown is not None or None in labels:
        raise ValueError(
            f"the classifier does not know the label {unknown!r}; it knows {len(places)}, {next(iter(places))!r} among "
            "them. Leave such objects out, or add examples with add_examples"
        )
    return torch.tensor([places[one] for one in labels], dtype=torch.int64)
