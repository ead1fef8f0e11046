"""A head whose output is a set of probability distributions."""

from __future__ import annotations

from torch import Tensor, nn

from quaterion_models.heads.encoder_head import EncoderHead, positive_size


class SoftmaxEmbeddingsHead(EncoderHead):
    """Projects to several groups of components, each group a softmax of its own.

    Each group is a probability distribution, so its entropy tells how sure the model is of the embedding.

    Args:
        output_groups: Number of groups.
        output_size_per_group: Components in each group.
        input_embedding_size: Length of the input vectors.
        dropout: Probability of zeroing a component of the input while training.

    Example:
        >>> import torch
        >>> head = SoftmaxEmbeddingsHead(2, 3, input_embedding_size=8)
        >>> head(torch.ones(1, 8)).view(2, 3).sum(dim=1).detach().round(decimals=3)
        tensor([1., 1.])
    """

    def __init__(
        self,
        output_groups: int,
        output_size_per_group: int,
        input_embedding_size: int,
        dropout: float = 0.0,
    ) -> None:
        super().__init__(input_embedding_size, dropout)
        self.output_groups = positive_size(output_groups, "output_groups")
        self.output_size_per_group = positive_size(output_size_per_group, "output_size_per_group")
        self.projection = nn.Linear(self.input_embedding_size, self.output_size)

    @property
    def output_size(self) -> int:
        """Number of groups × components in each."""
        return self.output_groups * self.output_size_per_group

    def transform(self, input_vectors: Tensor) -> Tensor:
        """Projects and applies the softmax within each group.

        Args:
            input_vectors: `[B, input_embedding_size]`.

        Returns:
            `[B, output_groups · output_size_per_group]`.
        """
        groups = self.projection(input_vectors).unflatten(1, (self.output_groups, self.output_size_per_group))
        flat: Tensor = groups.softmax(dim=2).flatten(1)  # [B, G, S] -> [B, G·S]
        return flat
