"""The base of the metrics of pairs."""

from typing import NamedTuple

import torch
from torch import Tensor

from quaterion.distances import Distance
from quaterion.eval.base_metric import ReduceFunction, RetrievalMetric, UnscorableSetError
from quaterion.eval.retrieval_task import score_queries
from quaterion.eval.tasks import pair_task

__all__ = ["PairMetric"]


class _Kept(NamedTuple):
    embeddings: Tensor
    labels: Tensor
    pairs: Tensor
    ids: Tensor | None


class PairMetric(RetrievalMetric):
    """A retrieval metric in which every one of the 2P objects of P pairs is a query over the other 2P − 1.

    Relevant to a query are its partners, that is the objects it forms a pair with whose score is above 0, and
    the objects of equal content, where `ids` say which are equal. Being of one subgroup does not make an
    object relevant; such objects are candidates like all others. Where `ids` are given, they stand for the
    objects: a partner of any copy of an object is a partner of all of them, and a copy of a partner is one
    too.

    Rows that are in no pair (the explicit negatives of a batch) are candidates and no queries.

    `compute` gives the value of one set. `update` keeps what it is given (on its device, without waiting for
    it), and `evaluate` gives the value of all of it as one set: the same as if it had come at once, and never
    a mean of batches.

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
        self._kept: list[_Kept] = []
        self._num_kept = 0

    def compute(
        self,
        embeddings: Tensor,
        labels: Tensor,
        pairs: Tensor,
        subgroups: Tensor,
        *,
        ids: Tensor | None = None,
    ) -> Tensor:
        """Computes the metric of one set of pairs.

        Args:
            embeddings: `[N, D]`: the P first objects, the P second ones, and explicit negatives where there
                are any.
            labels: Score of each pair, `[P]`; empty for 1 each.
            pairs: Rows of the two objects of each pair, `[P, 2]`.
            subgroups: `[2P]`. Part of the documented interface; the value does not depend on them.
            ids: Content of each object, `[N]`: equal ids mark equal objects. None where all differ.

        Returns:
            What `reduce_func` gives, or the scores of all 2P objects in the order of their rows, NaN where
            nothing is relevant; float32.

        Raises:
            UnscorableSetError: There is no pair, or none with a score above 0.
            ValueError: Shapes do not fit, or an embedding is not finite.
        """
        del subgroups
        return self.reduce(score_queries(pair_task(embeddings, labels, pairs, ids), [self])[0])

    def update(
        self,
        embeddings: Tensor,
        labels: Tensor,
        pairs: Tensor,
        subgroups: Tensor,
        *,
        ids: Tensor | None = None,
    ) -> None:
        """Adds pairs to those that `evaluate` looks at.

        Args:
            embeddings: `[B, D]`; kept without its gradient.
            labels: `[P]`; empty for 1 each.
            pairs: `[P, 2]`, rows of these embeddings.
            subgroups: `[2P]`, not used.
            ids: `[B]`; given in every call or in none.

        Raises:
            ValueError: `ids` are given in some calls only.
        """
        del subgroups
        if self._kept and (self._kept[0].ids is None) != (ids is None):
            raise ValueError(
                f"{type(self).__name__}.update() got ids in some calls and none in others. Equal objects can only be "
                "told for all of them: pass ids in every call or in none, or call reset() first."
            )
        labels = labels if labels.numel() else torch.ones(len(pairs), device=pairs.device)
        shifted = pairs.detach() + self._num_kept
        self._kept.append(_Kept(embeddings.detach(), labels.detach().flatten(), shifted, ids))
        self._num_kept += len(embeddings)

    def evaluate(self) -> Tensor:
        """Computes the metric of everything added since the last `reset`.

        Returns:
            As `compute`; without `reduce_func`, scores come in the order in which the objects were added.

        Raises:
            UnscorableSetError: As `compute`, and where nothing was added.
            ValueError: As `compute`.
        """
        if not self._kept:
            raise UnscorableSetError(f"{type(self).__name__}.evaluate() was called before update(...).")
        ids = [kept.ids for kept in self._kept if kept.ids is not None]
        return self.compute(
            torch.cat([kept.embeddings for kept in self._kept]),
            torch.cat([kept.labels for kept in self._kept]),
            torch.cat([kept.pairs for kept in self._kept]),
            subgroups=torch.empty(0, dtype=torch.int64),
            ids=torch.cat(ids) if ids else None,
        )

    def reset(self) -> None:
        """Forgets everything added."""
        self._kept = []
        self._num_kept = 0
