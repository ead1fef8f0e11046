"""A head that changes nothing."""

from __future__ import annotations

from torch import Tensor

from quaterion_models.heads.encoder_head import EncoderHead


class EmptyHead(EncoderHead):
    """Passes the vectors through; there is nothing to train.

    Args:
        input_embedding_size: Length of the input vectors.
        dropout: Probability of zeroing a component of the input while training.

    Example:
        >>> import torch
        >>> EmptyHead(2)(torch.ones(1, 2))
        tensor([[1., 1.]])
    """

    @property
    def output_size(self) -> int:
        """Length of the input."""
        return self.input_embedding_size

    def transform(self, input_vectors: Tensor) -> Tensor:
        """Returns the input."""
        return input_vectors
