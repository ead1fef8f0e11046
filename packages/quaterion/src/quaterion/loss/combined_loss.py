"""Several losses as one."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from quaterion.batch import GroupTargets, PairTargets
from quaterion.loss.checks import check_is_loss, check_positive
from quaterion.loss.similarity_loss import SimilarityLoss

__all__ = ["CombinedLoss"]


class CombinedLoss(SimilarityLoss):
    """Add up losses of one batch, each with a weight; or choose one of them by the data set that a batch is from.

    `parts` gives the single values, for logging. `loss_of` gives one loss, for a training on several data sets; only
    then may the losses take targets of different kinds.

    Args:
        losses: By name, a loss and its weight above 0.

    Raises:
        TypeError: If a name has no loss and weight.
        ValueError: If there is no loss, or a weight is not above 0.

    Example:
        >>> from quaterion.loss import ContrastiveLoss, CosineSimilarityLoss
        >>> loss = CombinedLoss({"near": (ContrastiveLoss(), 1.0), "exact": (CosineSimilarityLoss(), 0.5)})
        >>> loss(torch.eye(2), torch.tensor([[0, 1]]), torch.tensor([1.0]), torch.tensor([0, 0]))  # ½ + ½
        tensor(1.)
    """

    def __init__(self, losses: Mapping[str, tuple[SimilarityLoss, float]]) -> None:
        if not losses:
            raise ValueError("CombinedLoss needs at least one loss: pass {name: (loss, weight)}")
        for name, pair in losses.items():
            if not isinstance(pair, Sequence) or len(pair) != 2:
                raise TypeError(
                    f"CombinedLoss got {type(pair).__name__} as {name!r}: pass a loss and its weight, "
                    f'{{"{name}": (loss, 1.0)}}'
                )
            check_is_loss(f"the loss {name!r}", pair[0])
        distances = {loss.distance_metric_name for loss, _ in losses.values()}
        super().__init__(distances.pop() if len(distances) == 1 else "cosine")
        self.names = tuple(losses)
        self.weights = tuple(check_positive(f"the weight of {name!r}", pair[1]) for name, pair in losses.items())
        # A list: names with a dot cannot be keys of a ModuleDict.
        self.losses = nn.ModuleList(loss for loss, _ in losses.values())
        kinds = {loss.target_type for loss, _ in losses.values()}
        if len(kinds) == 1:
            self.target_type = kinds.pop()
        counts = [loss.num_groups for loss, _ in losses.values() if loss.num_groups is not None]
        # Over one data set all the losses share its groups, so there can be no more than the smallest has weights for.
        self.num_groups = min(counts, default=None)

    @property
    def supports_memory(self) -> bool:
        """Whether any of the losses can compare a batch with earlier ones; the others then sit out."""
        return any(loss.supports_memory for loss, _ in self._items().values())

    def forward(self, embeddings: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        """Compute the weighted sum for a batch, with the arguments that all the losses take.

        Args:
            embeddings: `[B, D]`.
            *args: As the losses take them.
            **kwargs: As the losses take them.

        Returns:
            A scalar.
        """
        return self.weigh({name: loss(embeddings, *args, **kwargs) for name, (loss, _) in self._items().items()})

    def compute(
        self,
        embeddings: Tensor,
        targets: GroupTargets | PairTargets,
        *,
        memory: tuple[Tensor, ...] | None = None,
    ) -> Tensor:
        """Compute the weighted sum for a batch from its targets.

        Args:
            embeddings: `[B, D]`.
            targets: Targets of the same rows.
            memory: Embeddings `[M, D]` of earlier batches and their tags, for the losses that can use them.

        Returns:
            A scalar.
        """
        return self.weigh(self.parts(embeddings, targets, memory=memory))

    def parts(
        self,
        embeddings: Tensor,
        targets: GroupTargets | PairTargets,
        *,
        memory: tuple[Tensor, ...] | None = None,
    ) -> dict[str, Tensor]:
        """Compute each loss of a batch, without its weight.

        Args:
            embeddings: `[B, D]`.
            targets: Targets of the same rows.
            memory: Embeddings `[M, D]` of earlier batches and their tags, for the losses that can use them.

        Returns:
            Scalars by name; with a memory, only of the losses that can use it.
        """
        return {
            name: loss.compute(embeddings, targets, memory=memory)
            for name, (loss, _) in self._items().items()
            if memory is None or loss.supports_memory
        }

    def weigh(self, parts: Mapping[str, Tensor]) -> Tensor:
        """Add up what `parts` returned, each value times its weight.

        Args:
            parts: Scalars by name.

        Returns:
            A scalar.
        """
        items = self._items()
        return torch.stack([items[name][1] * value for name, value in parts.items()]).sum()

    def loss_of(self, name: str) -> SimilarityLoss:
        """Return the loss with a name, for the batches of the data set with that name.

        Args:
            name: As in the constructor.

        Returns:
            The loss.

        Raises:
            KeyError: If there is none; the message lists the names.
        """
        items = self._items()
        if name not in items:
            raise KeyError(f"no loss named {name!r}: expected one of {', '.join(map(repr, items))}")
        return items[name][0]

    def check_targets(self, targets: GroupTargets | PairTargets) -> None:
        """Check the values of a whole data set's targets as each of the losses does."""
        for loss, _ in self._items().values():
            loss.check_targets(targets)

    def _items(self) -> dict[str, tuple[SimilarityLoss, float]]:
        found: dict[str, tuple[SimilarityLoss, float]] = {}
        for name, loss, weight in zip(self.names, self.losses, self.weights, strict=True):
            if isinstance(loss, SimilarityLoss):
                found[name] = (loss, weight)
        return found
