"""Scores of a search in which each query has one right document."""

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor

from quaterion.distances import Distance
from quaterion.eval.base_metric import UnscorableSetError, checked_k
from quaterion.eval.checked_tensors import checked_embeddings
from quaterion.functional.bootstrap import Interval, bootstrap_mean
from quaterion.functional.ranked_lists import ranked_lists
from quaterion.functional.retrieval import hit_rate_at_k, reciprocal_rank

__all__ = ["mean_intervals", "retrieval_scores"]


@torch.no_grad()
def retrieval_scores(
    query_vectors: Tensor,
    document_vectors: Tensor,
    relevant: Tensor,
    ks: Iterable[int] = (1, 10),
    *,
    distance_metric_name: Distance | str = Distance.COSINE,
    max_entries: int | None = None,
) -> dict[str, Tensor]:
    """Reciprocal rank and recall@k of each query over all documents, exactly, in blocks of bounded memory.

    Args:
        query_vectors: `[Q, D]`.
        document_vectors: `[N, D]`.
        relevant: Row of the right document of each query, `[Q]`.
        ks: For each k, whether the right document is among the first k.
        distance_metric_name: How vectors are compared.
        max_entries: Bound on a block's entries, see `quaterion.functional.rounded_similarity.rows_at_once`.

    Returns:
        `{"mrr": [Q], "recall@1": [Q], ...}` in float64; ties as in `quaterion.functional.retrieval`.

    Raises:
        UnscorableSetError: There is no query, or a k is larger than the number of documents.
        ValueError: Shapes do not fit, a row is out of range, a vector is not finite, or a k is below 1.

    Example:
        >>> documents = torch.eye(3)
        >>> queries = torch.tensor([[1.0, 0.1, 0.0], [0.5, 1.0, 0.9]])
        >>> retrieval_scores(queries, documents, relevant=torch.tensor([0, 2]), ks=[1])
        {'mrr': tensor([1.0000, 0.5000], dtype=torch.float64),
         'recall@1': tensor([1., 0.], dtype=torch.float64)}
    """
    documents = checked_embeddings(document_vectors)
    queries = checked_embeddings(query_vectors).to(documents.device)
    if queries.shape[1] != documents.shape[1]:
        raise ValueError(
            f"Queries have {queries.shape[1]} dimensions and documents {documents.shape[1]}; expected the same: "
            "encode both with one model."
        )
    right = _checked_rows(relevant, len(queries), len(documents)).to(documents.device)
    ks = [checked_k(k) for k in ks]
    if ks and max(ks) > len(documents):
        raise UnscorableSetError(f"k={max(ks)}, but there are only {len(documents)} documents. Use a smaller k.")
    numbers = torch.arange(len(documents), device=documents.device)
    names = ["mrr", *(f"recall@{k}" for k in ks)]
    scores = {name: torch.empty(len(queries), dtype=torch.float64, device=documents.device) for name in names}
    blocks = ranked_lists(
        queries,
        documents,
        lambda rows: right[rows].unsqueeze(1) == numbers,
        torch.ones_like(right),
        metric=Distance(distance_metric_name),
        depth=max(ks, default=0),
        max_entries=max_entries,
    )
    for rows, lists in blocks:
        scores["mrr"][rows] = reciprocal_rank(lists)
        for k in ks:
            scores[f"recall@{k}"][rows] = hit_rate_at_k(lists, k)
    return scores


def mean_intervals(
    scores: Mapping[str, Tensor], *, confidence: float = 0.95, resamples: int = 2000, seed: int = 0
) -> dict[str, Interval]:
    """Mean of each score over queries, with its bootstrap interval.

    Args:
        scores: Scores of single queries by name, as `retrieval_scores` returns them.
        confidence: Probability that the intervals are to have.
        resamples: Number of samples drawn.
        seed: Seed of the draw.

    Returns:
        `value`, `low` and `high` by name; `interval._asdict()` is ready for JSON.

    Example:
        >>> mean_intervals({"mrr": torch.ones(5)})
        {'mrr': Interval(value=1.0, low=1.0, high=1.0)}
    """
    return {
        name: bootstrap_mean(values, confidence=confidence, resamples=resamples, seed=seed)
        for name, values in scores.items()
    }


def _checked_rows(relevant: Tensor, num_queries: int, num_documents: int) -> Tensor:
    if relevant.shape != (num_queries,) or relevant.is_floating_point():
        raise ValueError(
            f"relevant has the shape {tuple(relevant.shape)} and the type {relevant.dtype}; expected the row of each "
            f"query's right document as an integer, [{num_queries}]."
        )
    if int(relevant.min()) < 0 or int(relevant.max()) >= num_documents:
        raise ValueError(
            f"relevant holds rows {int(relevant.min())} to {int(relevant.max())}, but there are {num_documents} "
            f"documents. Expected rows in 0..{num_documents - 1}."
        )
    return relevant.long()
