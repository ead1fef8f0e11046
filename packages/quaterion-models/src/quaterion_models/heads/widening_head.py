"""A head with one wide hidden layer."""

from __future__ import annotations

from torch import Tensor, nn

from quaterion_models.heads.activations import activation
from quaterion_models.heads.encoder_head import EncoderHead


class WideningHead(EncoderHead):
    """Projects to a hidden layer of `expansion_factor` times the size, activates, and projects back.

    Args:
        input_embedding_size: Length of the input vectors.
        expansion_factor: Size of the hidden layer over that of the input.
        activation_fn: Name of the activation, such as "relu", "gelu" or "tanh".
        dropout: Probability of zeroing a component of the input while training.

    Raises:
        ValueError: If the hidden layer would have no unit, or an argument is out of range.

    Example:
        >>> import torch
        >>> WideningHead(8, expansion_factor=2.0)(torch.ones(3, 8)).shape
        torch.Size([3, 8])
    """

    def __init__(
        self,
        input_embedding_size: int,
        expansion_factor: float = 4.0,
        activation_fn: str = "relu",
        dropout: float = 0.0,
    ) -> None:
        super().__init__(input_embedding_size, dropout)
        size = self.input_embedding_size
        if not expansion_factor * size >= 1:
            raise ValueError(
                f"expansion_factor must give at least one hidden unit, got {expansion_factor!r} times {size}"
            )
        hidden = int(size * expansion_factor)
        self._activation = activation(activation_fn)
        self.widen = nn.Linear(size, hidden)
        self.narrow = nn.Linear(hidden, size)

    @property
    def output_size(self) -> int:
        """Length of the input."""
        return self.input_embedding_size

    def transform(self, input_vectors: Tensor) -> Tensor:
        """Widens, activates and narrows.

        Args:
            input_vectors: `[B, input_embedding_size]`.

        Returns:
            `[B, input_embedding_size]`.
        """
        narrowed: Tensor = self.narrow(self._activation(self.widen(input_vectors)))
        return narrowed
