"""Configuration of cross-batch memory."""

from dataclasses import dataclass
from enum import StrEnum

__all__ = ["XbmConfig", "XbmDevice"]


class XbmDevice(StrEnum):
    """Where the memory lies."""

    AUTO = "auto"
    """With the model."""
    CPU = "cpu"
    """In main memory, copied to the model's device in every step."""
    CUDA = "cuda"
    """On the GPU, with the model."""


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
        ValueError: A number is out of its range.

    Example:
        >>> XbmConfig(buffer_size=4096).weight
        1.0
    """

    weight: float = 1.0
    buffer_size: int = 10000
    start_iteration: int = 1000
    device: XbmDevice = XbmDevice.AUTO

    def __post_init__(self) -> None:
        object.__setattr__(self, "device", XbmDevice(self.device))
        if not self.weight > 0:
            raise ValueError(f"XbmConfig got weight={self.weight!r}; expected a positive number.")
        if self.buffer_size < 1:
            raise ValueError(f"XbmConfig got buffer_size={self.buffer_size!r}; expected an int of at least 1.")
        if self.start_iteration < 0:
            raise ValueError(f"XbmConfig got start_iteration={self.start_iteration!r}; expected 0 or more.")
