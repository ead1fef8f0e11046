"""Batches of a data set that was not read to its end before training, whose scores are checked as they come."""

from collections.abc import Iterable, Iterator
from typing import Any

from quaterion.batch import Batch, PairTargets
from quaterion.loss import SimilarityLoss
from quaterion.loss.pairwise_loss import PairwiseLoss
from quaterion.loss.vector_table import TeacherVectors

__all__ = ["CheckedBatches"]


class CheckedBatches:
    """Checks the targets of pairs as a loss does with those of a whole data set, on the CPU, before a batch is moved.

    Args:
        batches: An iterable of `Batch`, with or without a length.
        loss: The loss that trains on them.
    """

    def __init__(self, batches: Iterable[Batch], loss: SimilarityLoss) -> None:
        self._batches = batches
        # Not those with a teacher: they would look their vectors up on the model's device. They wrap or stand beside a
        # loss that knows what scores are right.
        self._losses = [
            module
            for module in loss.modules()
            if isinstance(module, PairwiseLoss)
            and not any(isinstance(child, TeacherVectors) for child in module.children())
        ]

    def __len__(self) -> int:
        batches: Any = self._batches
        return len(batches)

    def __iter__(self) -> Iterator[Batch]:
        for number, batch in enumerate(self._batches):
            if isinstance(batch.targets, PairTargets):
                self._check(number, batch.targets)
            yield batch

    def _check(self, number: int, targets: PairTargets) -> None:
        for loss in self._losses:
            try:
                loss.check_targets(targets)
            except ValueError as error:
                raise ValueError(f"Batch {number}: {error}") from error
