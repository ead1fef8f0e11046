"""Configuration of cross-batch memory."""

import math
from dataclasses import dataclass
from enum import StrEnum

import torch

from quaterion.utils.numbers import is_number, is_whole_number

__all__ = ["XbmConfig", "XbmDevice"]


class XbmDevice(StrEnum):
    """Where the memory lies."""

    AUTO = "auto"
    """With the model."""
    CPU = "cpu"
    """In main memory, copied to the model's device in every step."""
    CUDA = "cuda"
    """On the GPU, with the model; an error where the Trainer uses none."""


@dataclass(frozen=True)
class XbmConfig:
    """Cross-batch memory (Wang et al. 2020, arXiv 1912.06798): embeddings of earlier batches as more candidates.

    Args:
        weight: Factor of the memory's loss beside that of the batch.
        buffer_size: Number of embeddings kept, oldest out first.
        start_iteration: Optimizer steps before the memory's loss counts, since early embeddings drift fast. The
            memory fills from the first step on.
        device: Where the memory lies.

    Raises:
        ValueError: A number is out of its range, or the device is unknown.

    Example:
        >>> XbmConfig(buffer_size=4096).weight
        1.0
    """

    weight: float = 1.0
    buffer_size: int = 10000
    start_iteration: int = 1000
    device: XbmDevice = XbmDevice.AUTO

    def __post_init__(self) -> None:
        try:
            object.__setattr__(self, "device", XbmDevice(self.device))
        except ValueError:
            allowed = ", ".join(repr(one.value) for one in XbmDevice)
            raise ValueError(f"XbmConfig got device={self.device!r}; expected one of {allowed}.") from None
        if not is_number(self.weight) or not 0 < self.weight < math.inf:
            raise ValueError(f"XbmConfig got weight={self.weight!r}; expected a positive number.")
        if not is_whole_number(self.buffer_size) or self.buffer_size < 1:
            raise ValueError(f"XbmConfig got buffer_size={self.buffer_size!r}; expected an int of at least 1.")
        if not is_whole_number(self.start_iteration) or self.start_iteration < 0:
            raise ValueError(f"XbmConfig got start_iteration={self.start_iteration!r}; expected an int of 0 or more.")

    def check_device(self, device: torch.device) -> None:
        """Refuses a Trainer without the device that the memory is to lie on.

        Args:
            device: Where the model trains.

        Raises:
            ValueError: The memory is to lie on a GPU, and the model trains on something else.
        """
        if self.device is XbmDevice.CUDA and device.type != "cuda":
            raise ValueError(
                f"XbmConfig(device='cuda') wants the memory on a GPU, but the Trainer uses {device.type!r}. Use "
                "XbmDevice.AUTO, or a Trainer with accelerator='gpu'."
            )
