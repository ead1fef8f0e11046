"""The base of all heads: small trainable layers on top of the encoders' vectors."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

from torch import Tensor, nn

from quaterion_models.meta import Meta
from quaterion_models.saving.arguments import decode_arguments, record_arguments, recorded_arguments


class EncoderHead(nn.Module, ABC):
    """Reshapes the encoders' vectors for the task at hand.

    A subclass gives `output_size` and `transform`. The arguments of the constructor are recorded, so that
    saving and loading work where they are plain values.

    Args:
        input_embedding_size: Length of the input vectors.
        dropout: Probability of zeroing a component of the input while training.

    Raises:
        ValueError: If the size is not a positive integer, or the probability is outside 0..1.

    Example:
        >>> import torch
        >>> class FirstHalf(EncoderHead):
        ...     @property
        ...     def output_size(self):
        ...         return self.input_embedding_size // 2
        ...     def transform(self, input_vectors):
        ...         return input_vectors[:, : self.output_size]
        >>> FirstHalf(input_embedding_size=4)(torch.arange(4.0)[None])
        tensor([[0., 1.]])
    """

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        """Records the arguments of the constructor."""
        instance = super().__new__(cls)
        record_arguments(instance, args, kwargs)
        return instance

    def __init__(self, input_embedding_size: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.input_embedding_size = positive_size(input_embedding_size, "input_embedding_size")
        self.dropout = nn.Dropout(probability(dropout, "dropout"))

    @property
    @abstractmethod
    def output_size(self) -> int:
        """Length of the vectors that the head returns."""

    @abstractmethod
    def transform(self, input_vectors: Tensor) -> Tensor:
        """Computes the output of vectors that dropout has been applied to.

        Args:
            input_vectors: `[B, input_embedding_size]`.

        Returns:
            `[B, output_size]`.
        """

    def forward(self, input_vectors: Tensor, meta: Sequence[dict[str, Any]] | Meta | None = None) -> Tensor:  # noqa: ARG002
        """Applies dropout and `transform`.

        Args:
            input_vectors: `[B, input_embedding_size]`.
            meta: Side information, one dict a row; used by heads that choose by it.

        Returns:
            `[B, output_size]`.
        """
        return self.transform(self.dropout(input_vectors))

    def get_config_dict(self) -> dict[str, Any]:
        """Returns the arguments with which the head can be built again: those its constructor was called with."""
        recorded = recorded_arguments(self)
        return decode_arguments(recorded.values) if recorded is not None else {}

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes the head into a folder: `config.json` and `head.safetensors`.

        Args:
            path: The folder; made where it does not exist.
        """
        from quaterion_models.saving.head_folder import save_head

        save_head(self, Path(path))

    @classmethod
    def load(cls, path: str | os.PathLike[str], *, classes: Sequence[type[nn.Module]] = ()) -> Self:
        """Builds a head again from a folder that `save` wrote.

        Args:
            path: The folder.
            classes: Classes of your own that the folder may name, beside this one and those already imported.

        Returns:
            The head, on the CPU.

        Raises:
            ModelFolderError: If a file is missing or damaged, or names an unknown class.
            TypeError: If the folder holds a head of another class.
        """
        from quaterion_models.saving.head_folder import load_head

        head = load_head(Path(path), classes=(cls, *classes))
        if not isinstance(head, cls):
            raise TypeError(
                f"{path} holds a {type(head).__name__}, not a {cls.__name__}: use {type(head).__name__}.load"
            )
        return head


def positive_size(value: int, name: str) -> int:
    """Checks a size.

    Args:
        value: The size.
        name: What to call it in a message.

    Returns:
        The size as an `int`.

    Raises:
        ValueError: If it is not a positive integer.
    """
    if isinstance(value, bool) or not hasattr(value, "__index__") or int(value) < 1:
        raise ValueError(f"{name} must be an integer of at least 1, got {value!r}")
    return int(value)


def probability(value: float, name: str) -> float:
    """Checks a probability.

    Args:
        value: The probability.
        name: What to call it in a message.

    Returns:
        The probability.

    Raises:
        ValueError: If it is outside 0..1.
    """
    if not 0.0 <= value <= 1.0:
        raise ValueError(f"{name} must lie in 0..1, got {value!r}")
    return value
