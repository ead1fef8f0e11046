"""A watch over the validation embeddings, which says so once when a model has collapsed."""

import warnings

import torch
from torch import Tensor

from quaterion.batch import GroupTargets, PairTargets
from quaterion.distances import Distance
from quaterion.eval.inspection.spread import COLLAPSED_COSINE, collapse, mean_cosine
from quaterion.loss import SimilarityLoss

__all__ = ["CollapseWatch"]

ROWS_OF_A_BATCH = 32
"""Embeddings that are kept of one batch, so that an epoch in the order of its groups is seen from end to end."""

ROWS = 2048
"""Embeddings that are kept of an epoch."""

COLLAPSED_SPREAD = 1e-4
"""Variance of embeddings that are one point, as a share of their mean squared length."""


class CollapseWatch:
    """Keeps a few embeddings of each batch of an epoch, looks at them when it ends, and warns once.

    Nothing is drawn at random, and no value is looked at before the epoch ends: a GPU need not be waited for.

    Args:
        loss: The loss that trains the model. Where it does not compare directions, points have to be equal too.

    Example:
        >>> from quaterion.loss import TripletLoss
        >>> watch = CollapseWatch(TripletLoss())
        >>> watch.look(torch.randn(8, 4), GroupTargets(torch.arange(8)))
        >>> watch.end_epoch()
    """

    def __init__(self, loss: SimilarityLoss | None) -> None:
        self.warned = False
        self._by_direction = loss is None or loss.distance_metric_name is Distance.COSINE
        self.start_epoch()

    def start_epoch(self) -> None:
        """Forgets the embeddings of the epoch before."""
        self._embeddings: list[Tensor] = []
        self._groups: list[Tensor] = []
        self._count = 0
        self._every = 1
        self._batches = 0

    def look(self, embeddings: Tensor, targets: GroupTargets | PairTargets) -> None:
        """Keeps some embeddings of a batch.

        Args:
            embeddings: `[B, D]`.
            targets: The batch's targets.
        """
        turn = self._batches % self._every == 0
        self._batches += 1
        if self.warned or not turn or not len(embeddings):
            return
        step = -(-len(embeddings) // ROWS_OF_A_BATCH)
        self._embeddings.append(embeddings.detach()[::step].clone())
        if isinstance(targets, GroupTargets):
            self._groups.append(targets.groups[::step].clone())
        self._count += len(self._embeddings[-1])
        if self._count > ROWS:  # every other batch, from here on too
            self._every *= 2
            self._embeddings, self._groups = self._embeddings[::2], self._groups[::2]
            self._count = sum(map(len, self._embeddings))

    def end_epoch(self) -> None:
        """Warns if the embeddings kept have nearly all one direction; afterwards nothing is kept."""
        embeddings, groups = self._embeddings, self._groups
        self.start_epoch()
        if self.warned or not embeddings:
            return
        if groups and bool((torch.cat(groups) == groups[0][0]).all()):
            return  # objects of one group are meant to be close
        kept = torch.cat(embeddings).float()
        if len(kept) < 2 or not bool(kept.isfinite().all()):
            return
        cosine = mean_cosine(kept)  # exactly 0 where all embeddings are zero
        if (cosine < COLLAPSED_COSINE and cosine != 0) or (not self._by_direction and _spread(kept) > COLLAPSED_SPREAD):
            return
        found = collapse(kept)
        if found.collapsed:
            self.warned = True
            warnings.warn(
                f"The model has collapsed: {found.num_objects} validation embeddings have a mean cosine of "
                f"{found.mean_cosine:.3f} and use {found.effective_rank:.1f} of {found.dimension} directions, so that "
                "nothing can be told apart. Lower the learning rate, give the loss harder or more negatives (larger "
                "batches, a larger margin), or begin with an encoder whose embeddings are spread.",
                stacklevel=2,
            )


def _spread(embeddings: Tensor) -> float:
    """Variance of embeddings as a share of their mean squared length."""
    size = embeddings.square().sum(dim=1).mean()
    return float((embeddings - embeddings.mean(dim=0)).square().sum(dim=1).mean() / size.clamp(min=1e-30))
