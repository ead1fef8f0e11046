"""The memory itself: a ring of embeddings and their tags, saved in checkpoints."""

from collections.abc import Callable
from typing import Self

import torch
from torch import Tensor, nn

from quaterion.train.xbm.config import XbmConfig, XbmDevice

__all__ = ["CrossBatchMemory"]


class CrossBatchMemory(nn.Module):
    """The last `buffer_size` embeddings and their tags: groups, or ids of objects.

    Args:
        config: Size and device.
        embedding_size: Length of an embedding.

    Example:
        >>> memory = CrossBatchMemory(XbmConfig(buffer_size=3), embedding_size=1)
        >>> memory.enqueue(torch.tensor([[1.0], [2.0]]), torch.tensor([1, 2]))
        >>> memory.enqueue(torch.tensor([[3.0], [4.0]]), torch.tensor([3, 4]))
        >>> sorted(memory.read()[1].tolist())
        [2, 3, 4]
    """

    embeddings: Tensor
    tags: Tensor

    def __init__(self, config: XbmConfig, embedding_size: int) -> None:
        super().__init__()
        self._stays_on_cpu = config.device is XbmDevice.CPU
        self._filled = 0
        self._next = 0
        self.register_buffer("embeddings", torch.zeros(config.buffer_size, embedding_size))
        self.register_buffer("tags", torch.zeros(config.buffer_size, dtype=torch.int64))

    def __len__(self) -> int:
        return self._filled

    def read(self) -> tuple[Tensor, Tensor]:
        """Embeddings `[n, D]` and tags `[n]` that are in the memory."""
        return self.embeddings[: self._filled], self.tags[: self._filled]

    @torch.no_grad()
    def enqueue(self, embeddings: Tensor, tags: Tensor) -> None:
        """Puts a batch in, in place of the oldest; of a batch larger than the memory the last rows stay.

        Args:
            embeddings: `[B, D]`.
            tags: int64 `[B]`.
        """
        size = len(self.tags)
        embeddings, tags = embeddings.detach()[-size:], tags[-size:]
        count = len(tags)
        first = min(count, size - self._next)
        # Two slices rather than an index tensor: positions are known without looking at the device.
        self.embeddings[self._next : self._next + first].copy_(embeddings[:first])
        self.tags[self._next : self._next + first].copy_(tags[:first])
        self.embeddings[: count - first].copy_(embeddings[first:])
        self.tags[: count - first].copy_(tags[first:])
        self._next = (self._next + count) % size
        self._filled = min(self._filled + count, size)

    def get_extra_state(self) -> dict[str, int]:
        """Position in the ring, for checkpoints."""
        return {"filled": self._filled, "next": self._next}

    def set_extra_state(self, state: dict[str, int]) -> None:
        """Restores the position in the ring."""
        self._filled, self._next = state["filled"], state["next"]

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        if self._stays_on_cpu:
            return self
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        return self
