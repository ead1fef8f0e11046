"""Evaluation of a data set of groups."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch

from quaterion.dataset.labels import group_ids
from quaterion.dataset.similarity_samples import SimilarityGroupSample
from quaterion.eval.encoding import DataDigest, DistinctEmbeddings, ServableModel, content_of, samples_of
from quaterion.eval.group.group_metric import GroupMetric
from quaterion.eval.retrieval_task import RetrievalTask
from quaterion.eval.samplers.base_sampler import BaseSampler, search_device
from quaterion.eval.tasks import group_task

__all__ = ["GroupSampler"]


class GroupSampler(BaseSampler):
    """Evaluates a data set of `SimilarityGroupSample`: every object is a query over all others.

    Args:
        sample_size: Number of queries to evaluate, −1 for all; always over all objects.
        encode_batch_size: Objects in a batch of the encoder.
        device: Where to encode and to search; None for where the model is.
        log_progress: Whether to show progress bars, of encoding and of searching, on standard error.
        seed: Seed of the draw.

    Example:
        >>> GroupSampler(sample_size=2).choose(torch.tensor([1, 0, 3, 1, 1]))  # query 1 has nothing relevant
        tensor([...])
    """

    metric_types = (GroupMetric,)

    def _task(
        self, dataset: Any, model: ServableModel, advance: Callable[[], object], device: torch.device
    ) -> RetrievalTask:
        distinct = DistinctEmbeddings(model.encode_query, self.encode_batch_size)
        rows: list[int] = []
        labels: list[Any] = []
        digest = DataDigest()
        for sample in samples_of(dataset, SimilarityGroupSample, advance):
            content = content_of(sample.obj)
            rows.append(distinct.add(sample.obj, content))
            labels.append(sample.group)
            digest.add([content, content_of(sample.group)])
        embeddings = distinct.vectors()[torch.tensor(rows)]
        task = group_task(embeddings.to(search_device(device)), group_ids(labels))
        return replace(task, groups=labels, data=digest.value())
