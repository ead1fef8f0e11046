"""Retrieval tasks from embeddings and their targets, with what was passed checked."""

import torch
from torch import Tensor

from quaterion.eval.base_metric import UnscorableSetError
from quaterion.eval.relevance import GroupRelevance, LinkRelevance
from quaterion.eval.retrieval_task import RetrievalTask

__all__ = ["checked_embeddings", "group_task", "pair_task", "side_task"]


def group_task(embeddings: Tensor, groups: Tensor) -> RetrievalTask:
    """Every object is a query over all others; relevant are those of its group.

    Args:
        embeddings: `[N, D]`.
        groups: `[N]`.

    Returns:
        The task, query i being row i.

    Raises:
        UnscorableSetError: The set is empty, or all objects are of one group.
        ValueError: Shapes do not fit, or an embedding is not finite.
    """
    embeddings = checked_embeddings(embeddings)
    groups = groups.to(embeddings.device)
    if groups.shape != embeddings.shape[:1]:
        raise ValueError(
            f"groups has the shape {tuple(groups.shape)}, but there are {len(embeddings)} embeddings. "
            f"Expected one group for each, [{len(embeddings)}]."
        )
    relevance = GroupRelevance(groups)
    if relevance.num_groups == 1:
        raise UnscorableSetError(
            f"All {len(embeddings)} objects are of one group ({groups[0].item()}), so that nothing wrong could be "
            "retrieved. Expected two groups or more: use more of the data."
        )
    rows = torch.arange(len(embeddings), device=embeddings.device)
    return RetrievalTask(embeddings, embeddings, relevance, relevance.num_relevant, own_rows=rows)


def pair_task(embeddings: Tensor, labels: Tensor, pairs: Tensor, ids: Tensor | None = None) -> RetrievalTask:
    """Every object of a pair is a query over all other objects.

    Args:
        embeddings: `[N, D]`.
        labels: Scores of the pairs `[P]`; empty for 1 each.
        pairs: Rows of the two objects of each pair, `[P, 2]`. Rows that are in no pair are candidates only.
        ids: `[N]`, equal for objects of equal content; None where all differ.

    Returns:
        The task. Queries are the rows of the pairs, in rising order.

    Raises:
        UnscorableSetError: There is no pair.
        ValueError: Shapes do not fit, or an embedding is not finite.
    """
    embeddings, links, pairs, ids = _checked_pairs(embeddings, labels, pairs, ids)
    rows = torch.unique(pairs)
    relevance = LinkRelevance(ids[rows], ids, links, own=True)
    queries = embeddings if len(rows) == len(embeddings) else embeddings[rows]
    return RetrievalTask(queries, embeddings, relevance, relevance.num_relevant, own_rows=rows)


def side_task(embeddings: Tensor, labels: Tensor, pairs: Tensor, ids: Tensor | None = None) -> RetrievalTask:
    """The first object of every pair is a query over all objects that are not the first of a pair.

    Args:
        embeddings: `[N, D]`.
        labels: Scores of the pairs `[P]`; empty for 1 each.
        pairs: Rows of the two objects of each pair, `[P, 2]`.
        ids: `[N]`, equal for objects of equal content; None where all differ.

    Returns:
        The task. Queries are the first rows of the pairs, in rising order.

    Raises:
        UnscorableSetError: There is no pair.
        ValueError: Shapes do not fit, or an embedding is not finite.
    """
    embeddings, links, pairs, ids = _checked_pairs(embeddings, labels, pairs, ids)
    first = torch.zeros(len(embeddings), dtype=torch.bool, device=embeddings.device)
    first[pairs[:, 0]] = True
    relevance = LinkRelevance(ids[first], ids[~first], links, own=False)
    return RetrievalTask(embeddings[first], embeddings[~first], relevance, relevance.num_relevant)


def checked_embeddings(embeddings: Tensor) -> Tensor:
    """Embeddings without their gradient, known to be finite.

    Args:
        embeddings: `[N, D]`.

    Raises:
        UnscorableSetError: There is none.
        ValueError: The shape is another, or an embedding is not finite.
    """
    if embeddings.ndim != 2:
        raise ValueError(f"embeddings has the shape {tuple(embeddings.shape)}; expected a row for each object, [N, D].")
    if not len(embeddings):
        raise UnscorableSetError("There are no embeddings. Expected at least two objects: is the data set empty?")
    embeddings = embeddings.detach()
    wrong = (~embeddings.isfinite().all(dim=1)).nonzero().squeeze(1)
    if len(wrong):
        raise ValueError(
            f"The embeddings of {len(wrong)} of {len(embeddings)} objects hold NaN or infinity, the first in row "
            f"{int(wrong[0])}. Expected finite numbers: look at that object and at what the encoder makes of it "
            "(half precision overflows above 65,504)."
        )
    return embeddings


def _checked_pairs(
    embeddings: Tensor, labels: Tensor, pairs: Tensor, ids: Tensor | None
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Embeddings `[N, D]`, linked ids `[L, 2]`, pairs `[P, 2]` and ids `[N]`, all on one device."""
    embeddings = checked_embeddings(embeddings)
    count, device = len(embeddings), embeddings.device
    if pairs.ndim != 2 or pairs.shape[1] != 2 or pairs.is_floating_point():
        raise ValueError(
            f"pairs has the shape {tuple(pairs.shape)} and the type {pairs.dtype}; expected the two rows of each pair "
            "as integers, [P, 2]."
        )
    if not len(pairs):
        raise UnscorableSetError("There are no pairs. Expected at least one: is the data set empty?")
    pairs = pairs.to(device, torch.int64)
    if int(pairs.min()) < 0 or int(pairs.max()) >= count:
        raise ValueError(
            f"pairs holds rows {int(pairs.min())} to {int(pairs.max())}, but there are {count} embeddings. "
            f"Expected rows in 0..{count - 1}."
        )
    if labels.numel() not in (0, len(pairs)):
        raise ValueError(f"There are {labels.numel()} labels for {len(pairs)} pairs; expected one score for each.")
    scores = labels.to(device).flatten() if labels.numel() else torch.ones(len(pairs), device=device)
    if bool(scores.isnan().any()):
        raise ValueError("labels holds NaN; expected a score in [0, 1] for each pair: drop the pair or score it.")
    if ids is not None and ids.shape != (count,):
        raise ValueError(f"ids has the shape {tuple(ids.shape)}; expected one id for each embedding, [{count}].")
    ids = torch.arange(count, device=device) if ids is None else ids.to(device)
    return embeddings, ids[pairs[scores > 0]], pairs, ids
