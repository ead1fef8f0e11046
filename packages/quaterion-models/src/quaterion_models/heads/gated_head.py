"""A head that weighs each component."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from quaterion_models.heads.encoder_head import EncoderHead


class GatedHead(EncoderHead):
    """Multiplies each component i by tanh(g_i): the fewest parameters that can drop what does not matter.

    The gates start at g = 2, that is close to 1.

    Args:
        input_embedding_size: Length of the input vectors.
        dropout: Probability of zeroing a component of the input while training.

    Example:
        >>> GatedHead(2)(torch.ones(1, 2)).detach()
        tensor([[0.9640, 0.9640]])
    """

    def __init__(self, input_embedding_size: int, dropout: float = 0.0) -> None:
        super().__init__(input_embedding_size, dropout)
        self.gates = nn.Parameter(torch.full((self.input_embedding_size,), 2.0))

    @property
    def output_size(self) -> int:
        """Length of the input."""
        return self.input_embedding_size

    def transform(self, input_vectors: Tensor) -> Tensor:
        """Computes x · tanh(g).

        Args:
            input_vectors: `[B, input_embedding_size]`.

        Returns:
            `[B, input_embedding_size]`.
        """
        return input_vectors * torch.tanh(self.gates)
