"""Retrieval tasks from embeddings and their targets, with what was passed checked."""

import torch
from torch import Tensor

from quaterion.eval.base_metric import UnscorableSetError
from quaterion.eval.checked_tensors import checked_embeddings, checked_pairs
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
    embeddings, links, pairs, ids = _checked_links(embeddings, labels, pairs, ids)
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
    embeddings, links, pairs, ids = _checked_links(embeddings, labels, pairs, ids)
    first = torch.zeros(len(embeddings), dtype=torch.bool, device=embeddings.device)
    first[pairs[:, 0]] = True
    relevance = LinkRelevance(ids[first], ids[~first], links, own=False)
    return RetrievalTask(embeddings[first], embeddings[~first], relevance, relevance.num_relevant)


def _checked_links(
    embeddings: Tensor, labels: Tensor, pairs: Tensor, ids: Tensor | None
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Embeddings `[N, D]`, linked ids `[L, 2]`, pairs `[P, 2]` and ids `[N]`, all on one device."""
    embeddings, scores, pairs = checked_pairs(embeddings, labels, pairs)
    count, device = len(embeddings), embeddings.device
    if ids is not None and ids.shape != (count,):
        raise ValueError(f"ids has the shape {tuple(ids.shape)}; expected one id for each embedding, [{count}].")
    ids = torch.arange(count, device=device) if ids is None else ids.to(device)
    return embeddings, ids[pairs[scores > 0]], pairs, ids
