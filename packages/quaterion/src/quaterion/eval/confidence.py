"""How sure a model is of single objects, and how far that can be relied on."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from quaterion.distances import Distance
from quaterion.eval.neighbours import checked_groups, checked_neighbours, votes
from quaterion.eval.tasks import checked_embeddings
from quaterion.functional.topk import top_k
from quaterion.utils.numbers import is_whole_number
from quaterion.utils.progress import progress_bar
from quaterion_models.heads import EncoderHead
from quaterion_models.heads.softmax_embeddings_head import SoftmaxEmbeddingsHead

__all__ = ["KnnConfidence", "Reliability", "knn_confidence", "reliability", "softmax_confidence"]


@torch.no_grad()
def softmax_confidence(
    embeddings: Tensor, head: EncoderHead, measure: Literal["entropy", "peak"] = "entropy"
) -> Tensor:
    """How sure a model with a `SoftmaxEmbeddingsHead` is of each object, from its embedding alone.

    Each of the head's G groups of S components is a probability distribution. `entropy`: 1 − the mean of the groups'
    entropies, divided by log S; 0 where all are uniform, 1 where each is certain. `peak`: the mean of the groups'
    largest probabilities, from 1/S to 1.

    Args:
        embeddings: `[N, G · S]`, as the head gives them.
        head: The model's head.
        measure: What to compute.

    Returns:
        float64 `[N]`.

    Raises:
        TypeError: The head is of another kind.
        ValueError: The measure is unknown, the head has one component in each group, or the embeddings are not what
            the head gives.

    Example:
        >>> head = SoftmaxEmbeddingsHead(output_groups=2, output_size_per_group=2, input_embedding_size=4)
        >>> embeddings = torch.tensor([[1.0, 0.0, 0.0, 1.0], [0.5, 0.5, 0.5, 0.5], [1.0, 0.0, 0.5, 0.5]])
        >>> softmax_confidence(embeddings, head).tolist()
        [1.0, 0.0, 0.5]
        >>> softmax_confidence(embeddings, head, "peak").tolist()
        [1.0, 0.5, 0.75]
    """
    if not isinstance(head, SoftmaxEmbeddingsHead):
        raise TypeError(
            f"The head is a {type(head).__name__}, whose embeddings are no probabilities. Expected a "
            "SoftmaxEmbeddingsHead (model.head); for other models, knn_confidence compares with labelled objects."
        )
    if measure not in ("entropy", "peak"):
        raise ValueError(f"measure={measure!r}; expected 'entropy' or 'peak'.")
    if head.output_size_per_group < 2:
        raise ValueError(
            "The head has output_size_per_group=1, so every object's probabilities are 1 and say nothing. Expected 2 "
            "or more."
        )
    embeddings = checked_embeddings(embeddings)
    if embeddings.shape[1] != head.output_size:
        raise ValueError(
            f"The embeddings are of size {embeddings.shape[1]}, but the head gives {head.output_size} "
            f"({head.output_groups} groups of {head.output_size_per_group}). Expected embeddings of this head."
        )
    groups = embeddings.cpu().double().reshape(-1, head.output_groups, head.output_size_per_group)  # [N, G, S]
    wrong = ((groups < 0).any(dim=2) | ((groups.sum(dim=2) - 1).abs() > 0.02)).any(dim=1).nonzero().squeeze(1)
    if len(wrong):
        raise ValueError(
            f"{len(wrong)} of {len(embeddings)} embeddings are no probabilities, the first in row {int(wrong[0])}. "
            "Expected embeddings as the head gives them, not scaled to length 1 (encode(..., normalize=False))."
        )
    if measure == "peak":
        peak: Tensor = groups.amax(dim=2).mean(dim=1)
        return peak
    entropy: Tensor = torch.special.entr(groups).sum(dim=2).mean(dim=1)
    return 1 - entropy / math.log(head.output_size_per_group)


@dataclass(frozen=True, eq=False)
class KnnConfidence:
    """What the nearest labelled objects say of each object's group.

    Args:
        groups: The group that most of the neighbours are of, int64 `[Q]`: of labels that were no integers, their
            `group_id`.
        examples: Row of the nearest labelled object of that group, int64 `[Q]`.
        confidence: Share of the neighbours that are of that group, float64 `[Q]`, in [1/k, 1].
    """

    groups: Tensor
    examples: Tensor
    confidence: Tensor


@torch.no_grad()
def knn_confidence(
    embeddings: Tensor,
    groups: Tensor | Sequence[Any],
    k: int = 10,
    *,
    queries: Tensor | None = None,
    distance_metric_name: Distance | str = Distance.COSINE,
    max_entries: int | None = None,
    log_progress: bool = False,
) -> KnnConfidence:
    """How far the nearest labelled objects agree on the group of each object; works for any model.

    Args:
        embeddings: Labelled objects, `[N, D]`.
        groups: Group of each: integers `[N]`, or N labels.
        k: Number of neighbours.
        queries: Objects to judge, `[Q, D]`. None judges the labelled ones, each by the others.
        distance_metric_name: How embeddings are compared.
        max_entries: Bound on the similarities held at once.
        log_progress: Whether to show a progress bar of the search, on standard error.

    Returns:
        Group and confidence of each object.

    Raises:
        TypeError: A label cannot be taken.
        ValueError: Shapes do not fit, an embedding is not finite, there is one group only, or k is too large.

    Example:
        >>> labelled = torch.tensor([[1.0, 0.0], [0.9, 0.1], [0.0, 1.0], [0.1, 0.9]])
        >>> labels = ["cat", "cat", "dog", "dog"]
        >>> found = knn_confidence(labelled, labels, k=3, queries=torch.tensor([[2.0, 1.0]]))
        >>> [labels[row] for row in found.examples], found.confidence
        (['cat'], tensor([0.6667], dtype=torch.float64))
    """
    metric = Distance(distance_metric_name)
    embeddings = checked_embeddings(embeddings)
    own = checked_groups(groups, len(embeddings))
    k = checked_neighbours(k, len(embeddings) - (queries is None))
    own_rows = None
    if queries is None:
        queries, own_rows = embeddings, torch.arange(len(embeddings), device=embeddings.device)
    else:
        queries = checked_embeddings(queries)
        if queries.shape[1] != embeddings.shape[1]:
            raise ValueError(
                f"The queries are of size {queries.shape[1]}, the labelled embeddings of size {embeddings.shape[1]}; "
                "expected embeddings of one model."
            )
    with progress_bar("Searching", len(queries), enabled=log_progress) as advance:
        found = top_k(
            queries, embeddings, k, metric=metric, own_rows=own_rows, max_entries=max_entries, advance=advance
        )
    neighbours = found.rows.cpu()  # [Q, k]
    voted = votes(own[neighbours], found.similarities.cpu())
    examples = neighbours.gather(1, voted.places.unsqueeze(1)).squeeze(1)
    return KnnConfidence(voted.groups, examples, voted.shares)


@dataclass(frozen=True, eq=False)
class Reliability:
    """Confidence against accuracy: what a reliability plot shows.

    Args:
        edges: Bounds of the bins, `[bins + 1]`; bin i is (edges[i], edges[i + 1]], and 0 is in the first.
        confidence: Mean confidence in each bin, `[bins]`, NaN where it is empty.
        accuracy: Share of right answers in each bin, `[bins]`, NaN where it is empty.
        counts: Objects in each bin, int64 `[bins]`.
        ece: Expected calibration error: mean of |accuracy − confidence| over bins, weighted by their objects.
    """

    edges: Tensor
    confidence: Tensor
    accuracy: Tensor
    counts: Tensor
    ece: float


def reliability(confidence: Tensor, correct: Tensor, bins: int = 10) -> Reliability:
    """Compares confidences with what turned out to be right, in bins of equal width.

    Args:
        confidence: In [0, 1], `[N]`.
        correct: Whether the model was right, bool `[N]` or numbers 0 and 1.
        bins: Number of bins.

    Returns:
        The bins, in float64.

    Raises:
        ValueError: Shapes do not fit, there is nothing, or a value is out of range.

    Paper: Guo et al., On Calibration of Modern Neural Networks, https://arxiv.org/abs/1706.04599

    Example:
        >>> result = reliability(torch.tensor([0.9, 0.8, 0.7, 0.2]), torch.tensor([True, True, False, False]), bins=2)
        >>> result.counts.tolist(), result.accuracy, round(result.ece, 3)
        ([1, 3], tensor([0.0000, 0.6667], dtype=torch.float64), 0.15)
    """
    if not is_whole_number(bins) or bins < 1:
        raise ValueError(f"bins={bins!r}; expected the number of bins, 1 or more, such as 10.")
    precision = confidence.dtype if confidence.is_floating_point() else torch.float64
    confidence, right = confidence.detach().cpu().double(), correct.detach().cpu().double()
    if confidence.ndim != 1 or confidence.shape != right.shape:
        raise ValueError(
            f"confidence has the shape {tuple(confidence.shape)} and correct {tuple(right.shape)}; expected one value "
            "for each object in both, [N]."
        )
    if not len(confidence):
        raise ValueError("There is no confidence to judge. Expected at least one object.")
    outside = (~((confidence >= 0) & (confidence <= 1))).nonzero().squeeze(1)
    if len(outside):
        raise ValueError(
            f"{len(outside)} of {len(confidence)} confidences are outside [0, 1], the first is "
            f"{float(confidence[outside[0]])} in row {int(outside[0])}. Expected probabilities."
        )
    if bool(((right != 0) & (right != 1)).any()):
        raise ValueError("correct holds other values than 0 and 1; expected whether the model was right: a bool each.")
    edges = torch.arange(bins + 1, dtype=torch.float64) / bins
    # In the confidences' own precision: a third of float32 is above that of float64, and in the bin that ends there.
    ends = torch.arange(bins + 1, dtype=precision) / bins
    places = (torch.searchsorted(ends, confidence.to(precision)) - 1).clamp(min=0)  # [N]
    counts = torch.bincount(places, minlength=bins)
    mean_confidence = torch.bincount(places, confidence, minlength=bins) / counts
    accuracy = torch.bincount(places, right, minlength=bins) / counts
    gaps = ((accuracy - mean_confidence).abs() * counts).nan_to_num()
    return Reliability(edges, mean_confidence, accuracy, counts, float(gaps.sum() / len(confidence)))
