"""The base of the metrics of groups."""

import torch
from torch import Tensor

from quaterion.distances import Distance
from quaterion.eval.base_metric import ReduceFunction, RetrievalMetric, UnscorableSetError
from quaterion.eval.retrieval_task import score_queries
from quaterion.eval.tasks import group_task

__all__ = ["GroupMetric"]


class GroupMetric(RetrievalMetric):
    """A retrieval metric in which every object is a query over all others, and those of its group are relevant.

    `compute` gives the value of one set. `update` keeps what it is given (on its device, without waiting for
    it), and `evaluate` gives the value of all of it as one set: the same as if it had come at once, and never
    a mean of batches.

    Objects without a companion in their group have nothing relevant: they are candidates, but no mean counts
    them.

    Args:
        distance_metric_name: How embeddings are compared.
        reduce_func: Makes one value of the queries' scores; None keeps the scores.
    """

    def __init__(
        self,
        distance_metric_name: Distance | str = Distance.COSINE,
        reduce_func: ReduceFunction | None = torch.mean,
    ) -> None:
        super().__init__(distance_metric_name, reduce_func)
        self._kept: list[tuple[Tensor, Tensor]] = []

    def compute(self, embeddings: Tensor, groups: Tensor) -> Tensor:
        """Computes the metric of one set of objects.

        Args:
            embeddings: `[N, D]`.
            groups: Group of each object, `[N]`.

        Returns:
            What `reduce_func` gives, or the scores of all N objects, NaN where nothing is relevant; float32.

        Raises:
            UnscorableSetError: The set is empty, of one group, or has no two objects of one group.
            ValueError: Shapes do not fit, or an embedding is not finite.
        """
        return self.reduce(score_queries(group_task(embeddings, groups), [self])[0])

    def update(self, embeddings: Tensor, groups: Tensor) -> None:
        """Adds objects to those that `evaluate` looks at.

        Args:
            embeddings: `[B, D]`; kept without its gradient.
            groups: `[B]`.
        """
        self._kept.append((embeddings.detach(), groups.detach()))

    def evaluate(self) -> Tensor:
        """Computes the metric of everything added since the last `reset`.

        Returns:
            As `compute`.

        Raises:
            UnscorableSetError: As `compute`, and where nothing was added.
            ValueError: As `compute`.
        """
        if not self._kept:
            raise UnscorableSetError(f"{type(self).__name__}.evaluate() was called before update(...).")
        embeddings, groups = zip(*self._kept, strict=True)
        return self.compute(torch.cat(embeddings), torch.cat(groups))

    def reset(self) -> None:
        """Forgets everything added."""
        self._kept = []
