"""The base of losses that learn from groups."""

from abc import abstractmethod

from torch import Tensor

from quaterion.batch import GroupTargets, PairTargets
from quaterion.loss.similarity_loss import SimilarityLoss, wrong_targets

__all__ = ["GroupLoss"]


class GroupLoss(SimilarityLoss):
    """A loss over embeddings and the group that each belongs to.

    A loss that compares objects with each other also takes the keywords `reference` and `reference_groups`:
    candidates instead of the batch itself, which is what a cross-batch memory needs.
    """

    target_type = GroupTargets

    @property
    def class_vectors(self) -> Tensor | None:
        """`[G·k, D]` class weights, the k of a group one after the other; None for a loss without."""
        weight = getattr(self, "weight", None)
        return weight if self.num_groups is not None and isinstance(weight, Tensor) else None

    @abstractmethod
    def forward(self, embeddings: Tensor, groups: Tensor) -> Tensor:
        """Compute the loss of a batch.

        Args:
            embeddings: `[B, D]`.
            groups: `[B]` int64.

        Returns:
            A scalar.
        """

    @property
    def supports_memory(self) -> bool:
        """Whether the loss can compare a batch with the embeddings of earlier ones (`XbmConfig`)."""
        return super().supports_memory or type(self).xbm_loss is not GroupLoss.xbm_loss

    def xbm_loss(self, embeddings: Tensor, groups: Tensor, memory_embeddings: Tensor, memory_groups: Tensor) -> Tensor:
        """Compute the loss of a batch against a cross-batch memory.

        Paper: Wang et al., Cross-Batch Memory for Embedding Learning, https://arxiv.org/abs/1912.06798

        Args:
            embeddings: `[B, D]`.
            groups: `[B]` int64.
            memory_embeddings: `[M, D]` of earlier batches.
            memory_groups: `[M]` int64.

        Returns:
            A scalar.

        Raises:
            TypeError: If the loss cannot compare with other embeddings, as losses with class weights cannot.
        """
        if not super().supports_memory:
            self.check_memory()
        loss: Tensor = self(embeddings, groups, reference=memory_embeddings, reference_groups=memory_groups)
        return loss

    def compute(
        self,
        embeddings: Tensor,
        targets: GroupTargets | PairTargets,
        *,
        memory: tuple[Tensor, ...] | None = None,
    ) -> Tensor:
        """Compute the loss of a batch from its targets, or against a memory of embeddings and groups.

        Args:
            embeddings: `[B, D]`.
            targets: Groups of the same rows.
            memory: `[M, D]` embeddings of earlier batches and their `[M]` groups, compared with instead of the batch.

        Returns:
            A scalar.
        """
        if not isinstance(targets, GroupTargets):
            raise wrong_targets(self, targets)
        if memory is not None:
            past, past_groups = memory
            return self.xbm_loss(embeddings, targets.groups, past, past_groups)
        loss: Tensor = self(embeddings, targets.groups)
        return loss

    def check_targets(self, targets: GroupTargets | PairTargets) -> None:
        """Check the groups of a whole data set; a loss with class weights knows 0..G−1, and −1 is skipped.

        Args:
            targets: All targets of the data set together.

        Raises:
            TypeError: If the targets are those of pairs.
            ValueError: If a group is no class of a loss with class weights.
        """
        super().check_targets(targets)
        if self.num_groups is None or not isinstance(targets, GroupTargets) or targets.groups.numel() == 0:
            return
        high = int(targets.groups.max())
        if high >= self.num_groups:
            raise ValueError(
                f"{type(self).__name__} has class weights for the groups 0..{self.num_groups - 1}, but the "
                f"data contains group {high}: pass num_groups={high + 1} or more, or map the labels to "
                "0..G-1 (a negative one marks a group to skip)"
            )
