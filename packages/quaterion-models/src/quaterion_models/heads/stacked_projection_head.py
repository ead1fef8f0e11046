"""A head of several linear layers."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn

from quaterion_models.heads.activations import activation
from quaterion_models.heads.encoder_head import EncoderHead, positive_size


class StackedProjectionHead(EncoderHead):
    """Applies linear layers with an activation between each two (none after the last).

    Args:
        input_embedding_size: Length of the input vectors.
        output_sizes: Output size of each layer; the last one is the head's.
        activation_fn: Name of the activation, such as "relu", "gelu" or "tanh".
        dropout: Probability of zeroing a component of the input while training.

    Raises:
        ValueError: If there is no layer, or an argument is out of range.

    Example:
        >>> import torch
        >>> StackedProjectionHead(8, [4, 2])(torch.ones(3, 8)).shape
        torch.Size([3, 2])
    """

    def __init__(
        self,
        input_embedding_size: int,
        output_sizes: Sequence[int],
        activation_fn: str = "relu",
        dropout: float = 0.0,
    ) -> None:
        super().__init__(input_embedding_size, dropout)
        if not output_sizes:
            raise ValueError("output_sizes must name at least one layer, got none. Use EmptyHead for no layer")
        sizes = [self.input_embedding_size, *(positive_size(size, "an output size") for size in output_sizes)]
        self._activation = activation(activation_fn)
        self._output_size = sizes[-1]
        self.layers = nn.ModuleList(nn.Linear(*pair) for pair in pairwise(sizes))

    @property
    def output_size(self) -> int:
        """Output size of the last layer."""
        return self._output_size

    def transform(self, input_vectors: Tensor) -> Tensor:
        """Applies the layers.

        Args:
            input_vectors: `[B, input_embedding_size]`.

        Returns:
            `[B, output_sizes[-1]]`.
        """
        x: Tensor = self.layers[0](input_vectors)
        for layer in list(self.layers)[1:]:
            x = layer(self._activation(x))
        return x
