"""Distillation loss."""

from typing import Any

from torch import Tensor

from quaterion.batch import GroupTargets, PairTargets
from quaterion.distances import Distance
from quaterion.functional.distillation import distillation_loss
from quaterion.loss.pairwise_loss import PairwiseLoss
from quaterion.loss.vector_table import TeacherVectors

__all__ = ["DistillationLoss"]


class DistillationLoss(PairwiseLoss):
    """Compute the mean squared difference of the batch's similarity matrix to a teacher's.

    All rows of the batch are compared with all others; scores and subgroups do not matter. Often one part of a
    `CombinedLoss`.

    Args:
        teacher: The teacher's vectors by id: a `VectorTable`, or an embedding store or encoder from which training
            makes one.
        distance_metric_name: How embeddings are compared, the student's and the teacher's alike.

    Raises:
        TypeError: If there is no teacher.
        ValueError: If the distance is unknown.

    Example:
        >>> import torch
        >>> from quaterion.loss import VectorTable
        >>> loss = DistillationLoss(VectorTable(torch.arange(2), torch.ones(2, 3)))
        >>> pairs = torch.tensor([[0, 1]])
        >>> round(loss(torch.eye(2), pairs, torch.ones(1), torch.zeros(2), ids=torch.arange(2)).item(), 4)
        1.0
    """

    def __init__(self, teacher: Any, distance_metric_name: Distance | str = Distance.COSINE) -> None:
        super().__init__(distance_metric_name)
        self.teacher = TeacherVectors(teacher, "teacher")

    def forward(
        self,
        embeddings: Tensor,
        pairs: Tensor,  # noqa: ARG002 - the documented signature
        labels: Tensor,  # noqa: ARG002 - the documented signature
        subgroups: Tensor,  # noqa: ARG002 - the documented signature
        *,
        negatives: Tensor | None = None,  # noqa: ARG002 - the documented signature
        ids: Tensor | None = None,
        teacher_embeddings: Tensor | None = None,
    ) -> Tensor:
        """Compute the loss of a batch.

        Args:
            embeddings: `[B, D]`.
            pairs: Not used.
            labels: Not used.
            subgroups: Not used.
            negatives: Not used; explicit negatives are rows like others.
            ids: `[B]`, one per row; the teacher's vectors are looked up by them.
            teacher_embeddings: `[B, D_teacher]` the teacher's vectors of the same rows, instead of looking them up.

        Returns:
            A scalar.
        """
        if teacher_embeddings is None:
            teacher_embeddings = self.teacher(ids) if embeddings.shape[0] > 0 else embeddings
        return distillation_loss(embeddings, teacher_embeddings, metric=self.distance_metric_name.value)

    def check_targets(self, targets: GroupTargets | PairTargets) -> None:
        """Check the pairs of a whole data set, and that the teacher knows its objects.

        Args:
            targets: All targets of the data set together.

        Raises:
            TypeError: If the targets are those of groups.
            ValueError: If the teacher has no vector for an object.
        """
        super().check_targets(targets)
        if isinstance(targets, PairTargets):
            self.teacher.check_ids(targets.ids)
