"""The base of the metrics of scored pairs."""

from abc import ABC, abstractmethod

import torch
from torch import Tensor

from quaterion.distances import Distance
from quaterion.eval.base_metric import UnscorableSetError
from quaterion.eval.scored.scored_pairs import ScoredPairs

__all__ = ["ScoredPairMetric"]


class ScoredPairMetric(ABC):
    """A score of how well the similarities of all pairs of a set agree with the pairs' scores.

    `compute` gives the value of one set. `update` keeps what it is given (on its device, without waiting for it), and
    `evaluate` gives the value of all of it as one set: the same as if it had come at once, and never a mean of
    batches. Explicit negatives and subgroups take no part.

    Args:
        distance_metric_name: How embeddings are compared.

    Raises:
        ValueError: The distance is unknown.
    """

    def __init__(self, distance_metric_name: Distance | str = Distance.COSINE) -> None:
        self.distance_metric_name = Distance(distance_metric_name)
        self._kept: list[tuple[Tensor, Tensor, Tensor]] = []
        self._num_kept = 0

    @abstractmethod
    def score(self, similarities: Tensor, scores: Tensor, counts: Tensor | None = None) -> Tensor:
        """Scores one set of pairs, or samples of it.

        Args:
            similarities: float64 `[P]`, finite.
            scores: float32 `[P]`, finite.
            counts: How often each pair counts in each of R samples, `[R, P]`: what bootstrap intervals are made of.
                None for once each.

        Returns:
            A float64 scalar, or `[R]`; NaN where the scores allow no value.
        """

    def check(self, scores: Tensor) -> None:
        """Refuses scores that the metric has no value for.

        Args:
            scores: `[P]`, finite.

        Raises:
            UnscorableSetError: All pairs have the same score.
        """
        if bool((scores == scores[0]).all()):
            raise UnscorableSetError(
                f"All {len(scores)} pairs have the score {scores[0].item():g}, so there is nothing for "
                f"{type(self).__name__} to agree with. Expected pairs of two scores or more: use more of the data."
            )

    def value(self, pairs: ScoredPairs) -> Tensor:
        """Computes the metric of one set of pairs.

        Args:
            pairs: The set.

        Returns:
            A float32 scalar.

        Raises:
            UnscorableSetError: All pairs have the same score.
            ValueError: The metric does not take these scores.
        """
        self.check(pairs.scores)
        return self.score(pairs.similarities(self.distance_metric_name), pairs.scores).float()

    def compute(
        self,
        embeddings: Tensor,
        labels: Tensor,
        pairs: Tensor,
        subgroups: Tensor | None = None,
    ) -> Tensor:
        """Computes the metric of one set of pairs.

        Args:
            embeddings: `[N, D]`.
            labels: Score of each pair, `[P]`.
            pairs: Rows of the two objects of each pair, `[P, 2]`.
            subgroups: Taken because pair metrics take them; not used.

        Returns:
            A float32 scalar.

        Raises:
            UnscorableSetError: There is no pair, or all have the same score.
            ValueError: Shapes do not fit, an embedding is not finite, or the metric does not take these scores.
        """
        del subgroups
        return self.value(ScoredPairs(embeddings, labels, pairs))

    def update(
        self,
        embeddings: Tensor,
        labels: Tensor,
        pairs: Tensor,
        subgroups: Tensor | None = None,
    ) -> None:
        """Adds pairs to those that `evaluate` looks at.

        Args:
            embeddings: `[B, D]`; kept without its gradient.
            labels: `[P]`; empty for 1 each.
            pairs: `[P, 2]`, rows of these embeddings.
            subgroups: Not used.
        """
        del subgroups
        labels = labels if labels.numel() else torch.ones(len(pairs), device=pairs.device)
        self._kept.append((embeddings.detach(), labels.detach().flatten(), pairs.detach() + self._num_kept))
        self._num_kept += len(embeddings)

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
        embeddings, labels, pairs = (torch.cat(parts) for parts in zip(*self._kept, strict=True))
        return self.compute(embeddings, labels, pairs)

    def reset(self) -> None:
        """Forgets everything added."""
        self._kept = []
        self._num_kept = 0
