"""Arguments of classifiers, checked."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal, get_args

import torch
from torch import Tensor

from quaterion_models.class_weights import ClassWeights
from quaterion_models.predict.vector_search import VectorSearch

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


def checked_examples(
    examples: Tensor | None, groups: Tensor | None, num_labels: int, method: Method
) -> tuple[VectorSearch | None, Tensor | None]:
    """Checks examples.

    Args:
        examples: Their embeddings `[N, D]`, or None.
        groups: Their groups, int64 `[N]`, or None.
        num_labels: Number of groups.
        method: What they are for.

    Returns:
        A search over the examples, and their groups on the CPU; twice None where there are none.

    Raises:
        ValueError: If shapes or values do not fit, or the method needs them and they are not there.
    """
    if examples is None and groups is None and method == "weights":
        return None, None
    if examples is None or groups is None:
        raise ValueError(f"method={method!r} needs labelled examples: give examples= and groups=")
    search, groups = VectorSearch(examples), groups.detach().cpu()
    if groups.dtype != torch.int64 or groups.shape != (len(search),):
        raise ValueError(
            f"expected the group of each of {len(search)} examples, int64 [{len(search)}], got {groups.dtype} "
            f"{list(groups.shape)}"
        )
    if int(groups.min()) < 0 or int(groups.max()) >= num_labels:
        raise ValueError(
            f"groups must be places among the {num_labels} labels, from 0 to {num_labels - 1}, got "
            f"{int(groups.min())} to {int(groups.max())}"
        )
    return search, groups


def check_count(count: int, labels: Sequence[Any]) -> None:
    """Checks that there is a label for each of some objects.

    Raises:
        ValueError: If there is not, or there is no object.
    """
    if count != len(labels) or not count:
        raise ValueError(
            f"expected a label for each example, one or more, got {count} examples and {len(labels)} labels"
        )


def weight_columns(weights: ClassWeights | None, labels: Sequence[Any], method: Method) -> Tensor:
    """Finds the class weights of labels.

    Args:
        weights: Class weights of the model.
        labels: The label of each group.
        method: What they are for, `"weights"` or `"both"`.

    Returns:
        The column of each label's weights, int64 `[G]`; -1 for a label that has none.

    Raises:
        ValueError: If there are none, or too few for the method.
    """
    if weights is None:
        raise ValueError(
            f"method={method!r} needs class weights, and the model has none: train it with a loss that has "
            'class weights, such as SoftmaxLoss or ArcFaceLoss, or choose method="knn"'
        )
    columns = {label: place for place, label in enumerate(weights.labels) if label is not None}
    found = torch.tensor([columns.get(label, -1) for label in labels], dtype=torch.int64)
    missing = [label for label, column in zip(labels, found.tolist(), strict=True) if column < 0]
    if len(missing) == len(found) or (missing and method == "weights"):
        raise ValueError(
            f"the model has no class weights for {len(missing)} of {len(found)} labels, {missing[0]!r} among them: "
            'leave those out, or choose method="knn", which tells them by examples'
        )
    return found
