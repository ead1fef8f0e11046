"""Activation functions by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import torch.nn.functional as F
from torch import Tensor

_NAMES = (
    "relu",
    "gelu",
    "tanh",
    "sigmoid",
    "silu",
    "elu",
    "selu",
    "leaky_relu",
    "softplus",
    "mish",
    "hardswish",
)


def activation(name: str) -> Callable[[Tensor], Tensor]:
    """Looks an activation function up.

    Args:
        name: Its name in `torch.nn.functional`: relu, gelu, tanh, sigmoid, silu, elu, selu, leaky_relu, softplus,
            mish or hardswish.

    Returns:
        The function.

    Raises:
        ValueError: If the name is none of these.

    Example:
        >>> import torch
        >>> activation("relu")(torch.tensor([-1.0, 2.0]))
        tensor([0., 2.])
    """
    # A fixed list: the name may come from a file, and must not reach anything else.
    if name not in _NAMES:
        raise ValueError(f"activation_fn must be one of {', '.join(_NAMES)}, got {name!r}")
    return cast(Callable[[Tensor], Tensor], getattr(F, name))
