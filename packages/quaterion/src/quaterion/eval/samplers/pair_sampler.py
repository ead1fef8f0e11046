"""Evaluation of a data set of pairs."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from quaterion.dataset.similarity_samples import SimilarityPairSample
from quaterion.eval.encoding import DataDigest, DistinctEmbeddings, ServableModel, content_of, samples_of
from quaterion.eval.pair.pair_metric import PairMetric
from quaterion.eval.retrieval_task import RetrievalTask
from quaterion.eval.samplers.base_sampler import BaseSampler, search_device
from quaterion.eval.scored.scored_pair_metric import ScoredPairMetric
from quaterion.eval.scored.scored_pairs import ScoredPairs
from quaterion.eval.tasks import pair_task, side_task

__all__ = ["PairSampler"]


class PairSampler(BaseSampler):
    """Evaluates a data set of `SimilarityPairSample`.

    Every object of a pair is a query over all other objects, or, with `distinguish`, every first object over
    all second ones. Explicit negatives are candidates, and so are `documents`. Objects of equal content count as one
    (see `PairMetric`). First objects are encoded as queries, the others as documents.

    Metrics of `quaterion.eval.scored` compare the two objects of each pair and nothing else. They look at all pairs,
    whatever the sample.

    Args:
        sample_size: Number of queries to evaluate, −1 for all; always over all candidates.
        distinguish: Search side b for the objects of side a, and nothing else.
        encode_batch_size: Objects in a batch of the encoder.
        device: Where to encode and to search; None for where the model is.
        log_progress: Whether to show progress bars, of encoding and of searching, on standard error.
        documents: Further objects to search: a corpus of which the data set knows the answers to some queries. Those
            that are searched anyway, and copies, add nothing.
        seed: Seed of the draw.

    Example:
        >>> PairSampler(sample_size=100, distinguish=True).sample_size
        100
    """

    metric_types = (PairMetric, ScoredPairMetric)

    def __init__(
        self,
        sample_size: int = -1,
        distinguish: bool = False,
        encode_batch_size: int = 16,
        device: torch.device | str | None = None,
        log_progress: bool = True,
        *,
        documents: Sequence[Any] = (),
        seed: int = 0,
    ) -> None:
        super().__init__(sample_size, encode_batch_size, device, log_progress, seed=seed)
        if isinstance(documents, str):
            raise TypeError(f"documents is the text {documents!r:.60}; expected a list of objects, such as [text].")
        self.distinguish = distinguish
        self.documents = documents

    def _task(
        self, dataset: Any, model: ServableModel, advance: Callable[[], object], device: torch.device
    ) -> RetrievalTask:
        objects = _PairObjects(model, self.encode_batch_size)
        scores: list[float] = []
        for sample in samples_of(dataset, SimilarityPairSample, advance):
            objects.add(sample)
            scores.append(float(sample.score))
        objects.add_documents(self.documents)
        embeddings, ids = objects.embeddings()
        first = torch.arange(len(scores))
        pairs = torch.stack([first, first + len(scores)], dim=1)
        build = side_task if self.distinguish else pair_task
        embeddings, labels = embeddings.to(search_device(device)), torch.tensor(scores)
        task = build(embeddings, labels, pairs, ids)
        return replace(task, scored_pairs=ScoredPairs(embeddings, labels, pairs), data=objects.digest.value())


class _PairObjects:
    """Rows and ids of the first objects, the second ones, and the others that are searched."""

    def __init__(self, model: ServableModel, batch_size: int) -> None:
        self._queries = DistinctEmbeddings(model.encode_query, batch_size)
        two_sided = getattr(model, "two_sided", True)
        documents = DistinctEmbeddings(model.encode_document, batch_size)
        self._documents = documents if two_sided else self._queries
        self._ids: dict[object, int] = {}
        # For each of the three roles, (row among the distinct objects of its side, id) of each object.
        self._roles: tuple[list[tuple[int, int]], ...] = ([], [], [])
        self.digest = DataDigest()

    def add(self, sample: SimilarityPairSample) -> None:
        contents = [content_of(obj) for obj in (sample.obj_a, sample.obj_b, *sample.negatives)]
        first, second, others = self._roles
        first.append(self._row(self._queries, sample.obj_a, contents[0]))
        second.append(self._row(self._documents, sample.obj_b, contents[1]))
        for negative, content in zip(sample.negatives, contents[2:], strict=True):
            others.append(self._row(self._documents, negative, content))
        self.digest.add([*contents, content_of(float(sample.score))])

    def add_documents(self, documents: Sequence[Any]) -> None:
        if not documents:  # the digest is that of the pairs alone
            return
        _, second, others = self._roles
        searched = {number for _, number in (*second, *others)}
        contents = [content_of(document) for document in documents]
        for document, content in zip(documents, contents, strict=True):
            row, number = self._row(self._documents, document, content)
            if number not in searched:
                searched.add(number)
                others.append((row, number))
        self.digest.add(contents)

    def embeddings(self) -> tuple[Tensor, Tensor]:
        """Embeddings `[2P + M, D]` and ids `[2P + M]`."""
        first, second, others = (torch.tensor(role, dtype=torch.int64).view(-1, 2) for role in self._roles)
        searched = torch.cat([second, others])
        documents = self._documents.vectors()[searched[:, 0]]
        queries = self._queries.vectors()[first[:, 0]]
        return torch.cat([queries, documents]), torch.cat([first[:, 1], searched[:, 1]])

    def _row(self, side: DistinctEmbeddings, obj: Any, content: object) -> tuple[int, int]:
        return side.add(obj, content), self._ids.setdefault(content, len(self._ids))
