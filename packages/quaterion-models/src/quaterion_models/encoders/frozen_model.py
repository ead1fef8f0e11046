"""The model of a frozen encoder: read when it is first needed, and left out of copies and pickles."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn


class FrozenModel:
    """Weights that are in files, and in memory only where something is computed with them.

    It is no module, so that its weights are none of the parameters of the encoder that has it.

    Attributes:
        model: The model; None while it is not read.

    Example:
        >>> frozen = FrozenModel()
        >>> frozen.placed(torch.device("cpu"), torch.float32, lambda dtype: nn.Linear(2, 2, dtype=dtype)).training
        False
    """

    def __init__(self) -> None:
        self.model: nn.Module | None = None
        self._placed: tuple[torch.device, torch.dtype] | None = None

    def placed(self, device: torch.device, dtype: torch.dtype, read: Callable[[torch.dtype], nn.Module]) -> nn.Module:
        """Returns the model on a device, in eval mode and without gradients.

        Args:
            device: The device.
            dtype: Precision of the weights.
            read: Reads the model in a precision, on the CPU.

        Returns:
            The model, read if it was not.
        """
        # Read again for another precision: a cast would round buffers that a model keeps in float32 on purpose.
        if self.model is None or self._placed is None or self._placed[1] != dtype:
            self.model = read(dtype).eval().requires_grad_(False)
            self._placed = (torch.device("cpu"), dtype)
        if self._placed != (device, dtype):
            self.model.to(device)
            self._placed = (device, dtype)
        return self.model

    def forget(self) -> None:
        """Drops the weights, which are read again when they are needed."""
        self.model = self._placed = None

    def __getstate__(self) -> dict[str, Any]:
        return {"model": None, "_placed": None}
