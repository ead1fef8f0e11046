"""A head that starts as the identity and learns what to add."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from quaterion_models.heads.encoder_head import EncoderHead, positive_size, probability


class SkipConnectionHead(EncoderHead):
    """Adds a gated linear layer to its input: x + sigmoid(g) · Linear(dropout(x)), `n_layers` times.

    The gates, one for each component, start at g = −4: the head is nearly the identity at first, so that training
    starts from the encoder's own space.

    Args:
        input_embedding_size: Length of the input vectors.
        dropout: Probability of zeroing a component of the input while training.
        skip_dropout: Probability of zeroing a component of the linear layers' input, not of what skips them.
        n_layers: How many such layers follow each other.

    Example:
        >>> head = SkipConnectionHead(4, n_layers=2)
        >>> head(torch.ones(3, 4)).shape
        torch.Size([3, 4])
    """

    def __init__(
        self, input_embedding_size: int, dropout: float = 0.0, skip_dropout: float = 0.0, n_layers: int = 1
    ) -> None:
        super().__init__(input_embedding_size, dropout)
        size = self.input_embedding_size
        self.skip_dropout = nn.Dropout(probability(skip_dropout, "skip_dropout"))
        self.layers = nn.ModuleList(nn.Linear(size, size) for _ in range(positive_size(n_layers, "n_layers")))
        self.gates = nn.ParameterList(nn.Parameter(torch.full((size,), -4.0)) for _ in self.layers)

    @property
    def output_size(self) -> int:
        """Length of the input."""
        return self.input_embedding_size

    def transform(self, input_vectors: Tensor) -> Tensor:
        """Applies the layers.

        Args:
            input_vectors: `[B, input_embedding_size]`.

        Returns:
            `[B, input_embedding_size]`.
        """
        x = input_vectors
        for layer, gate in zip(self.layers, self.gates, strict=True):
            x = x + torch.sigmoid(gate) * layer(self.skip_dropout(x))
        return x
