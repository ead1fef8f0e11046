"""Hard negatives: of each query's documents the nearest that are no answers to it."""

import logging
import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from quaterion.cache.embedding_store import EmbeddingStore
from quaterion.dataset.similarity_samples import SimilarityGroupSample, SimilarityPairSample
from quaterion.distances import Distance
from quaterion.eval.encoding import samples_of, servable, undisturbed
from quaterion.eval.mining_pool import MiningPool, group_pool, pair_pool
from quaterion.eval.mining_search import Margins, nearest_negatives
from quaterion.eval.samplers.base_sampler import search_device
from quaterion.eval.tasks import checked_embeddings
from quaterion.utils.numbers import is_number, is_whole_number
from quaterion.utils.progress import progress_bar
from quaterion_models.content_key import content_key

__all__ = ["mine_hard_negatives"]

logger = logging.getLogger(__name__)


def mine_hard_negatives(
    data: Any,
    model_or_store: Any,
    k: int = 5,
    *,
    documents: Iterable[Any] = (),
    margin: float | None = None,
    relative_margin: float | None = None,
    skip_top: int = 0,
    exclude: Callable[[Any, Any], bool] | None = None,
    distance_metric_name: Distance | str = Distance.COSINE,
    batch_size: int = 32,
    device: torch.device | str | None = None,
    seed: int = 0,
    max_entries: int | None = None,
    log_progress: bool = False,
) -> list[SimilarityPairSample]:
    """Finds hard negatives: of each query's documents the nearest that are no answers to it.

    **Pairs**: `obj_a` is the query; all distinct `obj_b`, and `documents`, are searched. **Groups**: every distinct
    object of a group of two or more is a query, its positive is drawn from its group, and the objects of other groups
    are searched.

    Never a negative of a query are objects equal to it or to its positive, the partners of all pairs that an object
    equal to it is in, objects that share a subgroup (where the data has more than one) or a group with it, negatives
    that the pair already has, and what `exclude` names. Of the other documents, nearest first, `skip_top` are passed
    over, then those that the margins find too similar, since many of them are answers that nobody has labelled; the
    next k are the negatives.

    Args:
        data: Data set or iterable of `SimilarityPairSample` with scores of 1, or of `SimilarityGroupSample`.
        model_or_store: A `SimilarityModel` or `TrainableModel`, which encodes each distinct object once, or an
            `EmbeddingStore` that holds the vectors of all objects by their content.
        k: Negatives for each pair.
        documents: Further documents to search, of no group.
        margin: A negative's similarity is at most that of query and positive, less this. None for no such bound.
        relative_margin: A negative's similarity is at most (1 − relative_margin) times that of query and positive (of
            a similarity s below 0, at most s − relative_margin · |s|). None for no such bound.
        skip_top: Nearest documents to pass over, those excluded not counted.
        exclude: Called with a query and a document, says whether the document is no negative. Called for as few as
            needed, so it may be slow.
        distance_metric_name: How embeddings are compared.
        batch_size: Objects in a batch of the encoder.
        device: Where to encode and to search; None for where the model is, and for the CPU with a store.
        seed: Seed of the draw of positives from groups.
        max_entries: Bound on the similarities held at once; by default those of 512 queries and 256 MiB, or of 32
            queries where these are more.
        log_progress: Whether to show a progress bar of the search, on standard error.

    Returns:
        The pairs with `negatives` filled, nearest first and behind those that a pair has, ready for
        `MultipleNegativesRankingLoss`; of groups one pair for each query, with its group as the subgroup. A pair for
        which fewer than k negatives are left has fewer; how many there are is logged as a warning.

    Raises:
        TypeError: The data holds something else, or neither a model nor a store is given.
        ValueError: An argument is out of range, the data is empty or of one group, a score is not 1, there are fewer
            documents than k and `skip_top` ask for, an embedding is not finite, or the store lacks an object.

    Papers: Qu et al., RocketQA, https://arxiv.org/abs/2010.08191 (false negatives among the nearest); Moreira et al.,
    NV-Retriever, https://arxiv.org/abs/2407.15831 (margins relative to the positive).

    Example:
        >>> texts = ["capital of France", "Paris", "capital of Spain", "Madrid", "Lyon"]
        >>> store = EmbeddingStore.from_vectors(texts, [[1, 0], [0.9, 0.1], [0, 1], [0.1, 0.9], [0.7, 0.4]])
        >>> pairs = [SimilarityPairSample(*texts[:2]), SimilarityPairSample(*texts[2:4])]
        >>> [pair.negatives for pair in mine_hard_negatives(pairs, store, k=1, documents=["Lyon"])]
        [['Lyon'], ['Lyon']]
        >>> [pair.negatives for pair in mine_hard_negatives(pairs, store, k=1, documents=["Lyon"], margin=0.2)]
        [['Madrid'], ['Lyon']]
    """
    metric = Distance(distance_metric_name)
    margins = _checked_margins(margin, relative_margin)
    _check_counts(k, skip_top)
    pool = _pool(data, documents, seed)
    if k + skip_top > len(pool.documents) - 1:
        raise ValueError(
            f"k={k} and skip_top={skip_top} ask for {k + skip_top} documents, but there are {len(pool.documents)} "
            "distinct ones, the positive among them. Use a smaller k, or pass more documents=[...]."
        )
    vectors = _vectors(pool, model_or_store, batch_size, device)
    with progress_bar("Searching", len(pool.samples), enabled=log_progress) as advance:
        found = nearest_negatives(
            vectors.queries,
            vectors.documents,
            query_rows=vectors.query_rows,
            positive_rows=torch.tensor([pool.documents[number] for number in pool.positives], dtype=torch.int64),
            exclusions=pool.exclusions(),
            k=k,
            metric=metric,
            margins=margins,
            skip_top=skip_top,
            reject=None if exclude is None else _rejection(pool, exclude),
            max_entries=max_entries,
            advance=advance,
        )
    _report(found)
    numbers = list(pool.documents)
    return [
        pool.filled(sample, [numbers[row] for row in rows if row >= 0]) for sample, rows in enumerate(found.tolist())
    ]


def _checked_margins(margin: float | None, relative_margin: float | None) -> Margins:
    if margin is not None and not (is_number(margin) and math.isfinite(margin)):
        raise ValueError(f"margin={margin!r}; expected a difference of similarities, such as 0.05, or None.")
    if relative_margin is not None and not (is_number(relative_margin) and 0 <= relative_margin <= 1):
        raise ValueError(f"relative_margin={relative_margin!r}; expected a share in [0, 1], such as 0.05, or None.")
    return Margins(margin, relative_margin)


def _check_counts(k: int, skip_top: int) -> None:
    if not is_whole_number(k) or k < 1:
        raise ValueError(f"k={k!r}; expected the number of negatives to find, 1 or more, such as k=5.")
    if not is_whole_number(skip_top) or skip_top < 0:
        raise ValueError(f"skip_top={skip_top!r}; expected the number of nearest documents to pass over, 0 or more.")


def _pool(data: Any, documents: Iterable[Any], seed: int) -> MiningPool:
    if isinstance(documents, str | bytes) or not isinstance(documents, Iterable):
        raise TypeError(f"documents={documents!r}; expected a list of objects to search beside those of the pairs.")
    samples: Sequence[Any] = list(samples_of(data, object, lambda: None))
    kind = type(samples[0])
    for position, sample in enumerate(samples):
        if not isinstance(sample, SimilarityPairSample | SimilarityGroupSample) or not isinstance(sample, kind):
            raise TypeError(
                f"Item {position} of the data set is a {type(sample).__name__}; expected SimilarityPairSample for all "
                "or SimilarityGroupSample for all. Pass the data set itself, not a loader of it."
            )
    if isinstance(samples[0], SimilarityPairSample):
        return pair_pool(samples, documents)
    return group_pool(samples, documents, seed=seed)


class _Vectors(NamedTuple):
    queries: Tensor
    query_rows: Tensor
    documents: Tensor


def _vectors(pool: MiningPool, source: Any, batch_size: int, device: torch.device | str | None) -> _Vectors:
    queries = list(dict.fromkeys(pool.queries))
    documents = list(pool.documents)
    place = {number: row for row, number in enumerate(queries)}
    query_rows = torch.tensor([place[number] for number in pool.queries], dtype=torch.int64)
    if isinstance(source, EmbeddingStore):
        where = torch.device(device or "cpu")
        first, second = (_stored(pool, source, numbers).to(where) for numbers in (queries, documents))
        return _Vectors(checked_embeddings(first), query_rows, checked_embeddings(second))
    try:
        encoder = servable(source)
    except TypeError as error:
        raise TypeError(
            f"Cannot mine with a {type(source).__name__}; expected a SimilarityModel, a TrainableModel or an "
            "EmbeddingStore."
        ) from error
    with undisturbed(encoder, device) as where:
        if getattr(encoder, "two_sided", True):
            first = _encoded(pool, encoder.encode_query, queries, batch_size)
            second = _encoded(pool, encoder.encode_document, documents, batch_size)
        else:
            # What is a query and a document is encoded once.
            both = list(dict.fromkeys([*documents, *queries]))
            rows = {number: row for row, number in enumerate(both)}
            embeddings = _encoded(pool, encoder.encode_query, both, batch_size)
            first, second = embeddings[[rows[number] for number in queries]], embeddings[: len(documents)]
    where = search_device(where)
    return _Vectors(checked_embeddings(first).to(where), query_rows, checked_embeddings(second).to(where))


def _encoded(pool: MiningPool, encode: Callable[..., Any], numbers: list[int], batch_size: int) -> Tensor:
    objects = [pool.objects[number] for number in numbers]
    return torch.as_tensor(encode(objects, batch_size=batch_size, to_numpy=False)).detach().cpu()


def _stored(pool: MiningPool, store: EmbeddingStore, numbers: list[int]) -> Tensor:
    keys = b"".join(content_key(pool.objects[number]) for number in numbers)
    rows = store.rows(np.frombuffer(keys, dtype=np.uint8).reshape(len(numbers), -1))
    missing = (rows < 0).nonzero()[0]
    if len(missing):
        raise ValueError(
            f"The store lacks {len(missing)} of {len(numbers)} objects, the first is "
            f"{pool.objects[numbers[missing[0]]]!r:.200}. Expected vectors of all of them by their content: fill the "
            "store with this data first, or pass the model instead."
        )
    return store.take(rows)


def _rejection(pool: MiningPool, exclude: Callable[[Any, Any], bool]) -> Callable[[int, int], bool]:
    numbers = list(pool.documents)
    return lambda sample, row: exclude(pool.samples[sample].obj_a, pool.objects[numbers[row]])


def _report(found: Tensor) -> None:
    counts = (found >= 0).sum(dim=1)
    few, none = int((counts < found.shape[1]).sum()), int((counts == 0).sum())
    if few:
        logger.warning(
            "%d of %d pairs got fewer than k=%d negatives, %d of them none: all other documents are excluded or too "
            "similar. Smaller margins, a smaller skip_top or more documents give more.",
            few, len(found), found.shape[1], none,
        )  # fmt: skip
