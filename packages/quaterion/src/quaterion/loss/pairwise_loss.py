"""The base of losses that learn from pairs."""

import warnings
from abc import abstractmethod
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor

from quaterion.batch import GroupTargets, PairTargets
from quaterion.loss.similarity_loss import SimilarityLoss, wrong_targets

__all__ = ["PairwiseLoss"]


class _PairArguments(NamedTuple):
    pairs: Tensor
    scores: Tensor
    subgroups: Tensor


class PairwiseLoss(SimilarityLoss):
    """A loss over embeddings and scored pairs of them.

    `labels` and `subgroups` may be of any number type. Empty labels mean that every pair scores 1, empty
    subgroups that every pair is a subgroup of its own.

    Args:
        distance_metric_name: How embeddings are compared.
    """

    target_type = PairTargets

    uses_negatives: ClassVar[bool] = True
    """False for a loss that ignores explicit negatives; `check_targets` then warns where a data set has some."""

    @abstractmethod
    def forward(
        self,
        embeddings: Tensor,
        pairs: Tensor,
        labels: Tensor,
        subgroups: Tensor,
        *,
        negatives: Tensor | None = None,
        ids: Tensor | None = None,
    ) -> Tensor:
        """Compute the loss of a batch.

        Args:
            embeddings: `[2P + M, D]`: anchors, partners, explicit negatives.
            pairs: `[P, 2]` rows of the embeddings.
            labels: `[P]` scores, 1 similar and 0 dissimilar; empty for all 1.
            subgroups: `[2P]`, one per row in a pair; empty for each pair its own.
            negatives: `[M, 2]` rows of (anchor, explicit negative).
            ids: `[2P + M]`, one per row; equal ids mark equal objects.

        Returns:
            A scalar.
        """

    def compute(
        self,
        embeddings: Tensor,
        targets: GroupTargets | PairTargets,
        *,
        memory: tuple[Tensor, ...] | None = None,
    ) -> Tensor:
        """Compute the loss of a batch from its targets.

        A loss whose `forward` does not name `negatives`, `ids` or `subgroups_used` is not given them.

        Args:
            embeddings: `[2P + M, D]`.
            targets: Pairs of the same rows.
            memory: `[R, D]` further negatives, of earlier batches, their `[R]` ids and, if known, `[R]` subgroups.

        Returns:
            A scalar.
        """
        if not isinstance(targets, PairTargets):
            raise wrong_targets(self, targets)
        optional: dict[str, Tensor | bool | None] = {
            "negatives": targets.negatives,
            "ids": targets.ids,
            "subgroups_used": targets.subgroups_used,
        }
        extra = {name: value for name, value in optional.items() if name in self._arguments}
        if memory is not None:
            self.check_memory()
            given = zip(("reference", "reference_ids", "reference_subgroups"), memory, strict=False)
            extra |= {name: value for name, value in given if name in self._arguments}
        loss: Tensor = self(embeddings, targets.pairs, targets.scores, targets.subgroups, **extra)
        return loss

    def check_targets(self, targets: GroupTargets | PairTargets) -> None:
        """Check the pairs of a whole data set, and warn where the loss would ignore its explicit negatives.

        Args:
            targets: All targets of the data set together, on the CPU.

        Raises:
            TypeError: If the targets are those of groups.
            ValueError: If a score is no finite number.
        """
        super().check_targets(targets)
        if isinstance(targets, PairTargets) and not bool(targets.scores.isfinite().all()):
            row = int(targets.scores.isfinite().logical_not().nonzero()[0])
            raise ValueError(f"the score of pair {row} is {targets.scores[row].item()}: expected a finite number")
        if isinstance(targets, PairTargets) and len(targets.negatives) and not self.uses_negatives:
            warnings.warn(
                f"{type(self).__name__} ignores explicit negatives, but the data has {len(targets.negatives)}: "
                "use MultipleNegativesRankingLoss, or pass them as pairs with score 0",
                stacklevel=2,
            )

    def _resolve(self, pairs: Tensor, labels: Tensor, subgroups: Tensor, rows: int) -> _PairArguments:
        """Fill in empty labels and subgroups; `rows` is the number of embeddings."""
        pairs = pairs.long()
        if labels.numel() == 0:
            labels = torch.ones(pairs.shape[0], device=pairs.device)
        if subgroups.numel() == 0:
            own = torch.arange(pairs.shape[0], device=pairs.device).repeat(2)
            subgroups = torch.full((rows,), -1, device=pairs.device).scatter(0, pairs.T.flatten(), own)
        return _PairArguments(pairs, labels, subgroups)
