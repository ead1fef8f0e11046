"""The data set of a report: its objects, which belong together, and the search that both models are measured by."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from statistics import median
from typing import Any, Literal

import torch
from torch import Tensor

from quaterion.dataset.labels import group_ids
from quaterion.dataset.similarity_samples import SimilarityGroupSample, SimilarityPairSample
from quaterion.eval.encoding import content_of, samples_of
from quaterion.eval.retrieval_task import RetrievalTask
from quaterion.eval.samplers import GroupSampler, PairSampler
from quaterion.eval.samplers.base_sampler import BaseSampler

__all__ = ["Kind", "ReportData"]

Kind = Literal["groups", "pairs"]


@dataclass(frozen=True, eq=False)
class ReportData:
    """Samples of a data set, read once.

    Every object of a data set of groups is a query over all others. In a data set of pairs every first object is a
    query over all second objects and explicit negatives.

    Args:
        samples: Group samples, or pair samples.

    Example:
        >>> data = ReportData.read([SimilarityPairSample("capital of France", "Paris", negatives=["Lyon"])])
        >>> data.kind, data.queries, data.candidates
        ('pairs', ['capital of France'], ['Paris', 'Lyon'])
    """

    samples: Sequence[Any]

    @classmethod
    def read(cls, dataset: Any) -> "ReportData":
        """Reads a data set.

        Args:
            dataset: Map-style data set or any iterable, of `SimilarityGroupSample` or of `SimilarityPairSample`.

        Raises:
            TypeError: It holds something else, or both.
            UnscorableSetError: It is empty.
        """
        samples = list(samples_of(dataset, object, lambda: None))
        kind = SimilarityPairSample if isinstance(samples[0], SimilarityPairSample) else SimilarityGroupSample
        return cls(list(samples_of(samples, kind, lambda: None)))

    @property
    def kind(self) -> Kind:
        """Whether the samples have groups or are pairs."""
        return "pairs" if isinstance(self.samples[0], SimilarityPairSample) else "groups"

    @cached_property
    def queries(self) -> list[Any]:
        """Objects that are searched for, in the order of the task's queries."""
        return [sample.obj_a if self.kind == "pairs" else sample.obj for sample in self.samples]

    @cached_property
    def candidates(self) -> list[Any]:
        """Objects that are searched, in the order of the task's candidates."""
        if self.kind == "groups":
            return self.queries
        negatives = [negative for sample in self.samples for negative in sample.negatives]
        return [sample.obj_b for sample in self.samples] + negatives

    @cached_property
    def groups(self) -> list[Any]:
        """Group of each object; empty for pairs."""
        return [] if self.kind == "pairs" else [sample.group for sample in self.samples]

    @cached_property
    def group_ids(self) -> Tensor:
        """The groups as int64 `[N]`."""
        return group_ids(self.groups)

    @cached_property
    def shown_candidates(self) -> Tensor:
        """Rows of the candidates to list: all in a data set of groups, the first of equal ones in one of pairs."""
        if self.kind == "groups":
            return torch.arange(len(self.candidates))
        return first_of_equal(self.candidates)

    def sampler(self, **options: Any) -> BaseSampler:
        """The sampler that reads such samples.

        Args:
            **options: Arguments of `GroupSampler` and `PairSampler`.
        """
        if self.kind == "groups":
            return GroupSampler(**options)
        return PairSampler(distinguish=True, **options)

    def facts(self, task: RetrievalTask) -> dict[str, Any]:
        """Sizes of the data set, ready for JSON.

        Args:
            task: The search.
        """
        left_out = int((task.num_relevant == 0).sum())
        if self.kind == "groups":
            sizes = Counter(self.group_ids.tolist()).values()
            return {
                "objects": len(self.queries),
                "distinct objects": len(first_of_equal(self.queries)),
                "groups": len(sizes),
                "smallest group": min(sizes),
                "median group": float(median(sizes)),
                "largest group": max(sizes),
                "queries with nothing to find": left_out,
            }
        scores = [float(sample.score) for sample in self.samples]
        return {
            "pairs": len(self.samples),
            "distinct queries": len(first_of_equal(self.queries)),
            "distinct candidates": len(self.shown_candidates),
            "explicit negatives": len(self.candidates) - len(self.samples),
            "lowest score": min(scores),
            "highest score": max(scores),
            "queries with nothing to find": left_out,
        }


def first_of_equal(objects: Sequence[Any]) -> Tensor:
    """Rows of the objects that equal none before them, int64 `[U]`.

    Args:
        objects: Any objects.

    Example:
        >>> first_of_equal(["a", "b", "a"])
        tensor([0, 1])
    """
    rows: dict[object, int] = {}
    for row, obj in enumerate(objects):
        rows.setdefault(content_of(obj), row)
    return torch.tensor(list(rows.values()))
