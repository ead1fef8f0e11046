"""Moving nests of tensors to a device."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


def to_device(batch: Any, device: torch.device | str) -> Any:
    """Moves every tensor of a nest to a device.

    Args:
        batch: Tensors in dicts, lists, tuples and named tuples, or objects with a `to` method; anything else stays.
        device: Where to.

    Returns:
        A nest of the same form.

    Example:
        >>> to_device({"ids": torch.ones(2), "modality": "text"}, "cpu")
        {'ids': tensor([1., 1.]), 'modality': 'text'}
    """
    if isinstance(batch, Tensor):
        return batch.to(device, non_blocking=True)
    if isinstance(batch, dict):
        return {key: to_device(value, device) for key, value in batch.items()}
    if isinstance(batch, tuple):
        moved = [to_device(value, device) for value in batch]
        return type(batch)(*moved) if hasattr(batch, "_fields") else tuple(moved)
    if isinstance(batch, list):
        return [to_device(value, device) for value in batch]
    move = getattr(batch, "to", None)
    return move(device) if callable(move) else batch
