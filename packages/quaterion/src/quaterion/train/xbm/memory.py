"""The memory itself: a ring of embeddings and their tags, saved in checkpoints."""

from collections.abc import Callable
from typing import Any, Self

import torch
from torch import Tensor, nn

from quaterion.train.xbm.config import XbmConfig, XbmDevice

__all__ = ["CrossBatchMemory"]


class CrossBatchMemory(nn.Module):
    """The last `buffer_size` embeddings and their tags: groups, or ids of objects and their subgroups.

    Args:
        config: Size and device.
        embedding_size: Length of an embedding.
        num_tags: T, tags of each embedding.

    Example:
        >>> memory = CrossBatchMemory(XbmConfig(buffer_size=3), embedding_size=1)
        >>> memory.enqueue(torch.tensor([[1.0], [2.0]]), torch.tensor([1, 2]))
        >>> memory.enqueue(torch.tensor([[3.0], [4.0]]), torch.tensor([3, 4]))
        >>> sorted(memory.read()[1].tolist())
        [2, 3, 4]
    """

    embeddings: Tensor
    tags: Tensor

    def __init__(self, config: XbmConfig, embedding_size: int, num_tags: int = 1) -> None:
        super().__init__()
        self._stays_on_cpu = config.device is XbmDevice.CPU
        self._filled = 0
        self._next = 0
        self.register_buffer("embeddings", torch.zeros(config.buffer_size, embedding_size))
        self.register_buffer("tags", torch.zeros(num_tags, config.buffer_size, dtype=torch.int64))

    def __len__(self) -> int:
        return self._filled

    def read(self) -> tuple[Tensor, ...]:
        """Embeddings `[n, D]` that are in the memory, and each of their T tags `[n]`."""
        return self.embeddings[: self._filled], *self.tags[:, : self._filled].unbind()

    @torch.no_grad()
    def enqueue(self, embeddings: Tensor, *tags: Tensor) -> None:
        """Puts a batch in, in place of the oldest; of a batch larger than the memory the last rows stay.

        Args:
            embeddings: `[B, D]`.
            *tags: T tensors, int64 `[B]`.
        """
        size = len(self.embeddings)
        count = min(len(embeddings), size)
        first = min(count, size - self._next)
        # Two slices rather than an index tensor: positions are known without looking at the device.
        for kept, new in ((self.embeddings, embeddings), *zip(self.tags, tags, strict=True)):
            rows = new[-size:]
            kept[self._next : self._next + first].copy_(rows[:first])
            kept[: count - first].copy_(rows[first:])
        self._next = (self._next + count) % size
        self._filled = min(self._filled + count, size)

    def forget(self) -> None:
        """Empties the memory."""
        self._filled = self._next = 0

    def get_extra_state(self) -> dict[str, int]:
        """Position in the ring, for checkpoints."""
        return {"filled": self._filled, "next": self._next}

    def set_extra_state(self, state: dict[str, int]) -> None:
        """Restores the position in the ring."""
        self._filled, self._next = state["filled"], state["next"]

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        saved, size = state_dict.get(f"{prefix}embeddings"), len(self.embeddings)
        if isinstance(saved, Tensor) and len(saved) != size:
            # `buffer_size` has changed since: keep the newest rows that fit, the oldest of them first.
            filled, following = (state_dict[f"{prefix}_extra_state"][name] for name in ("filled", "next"))
            count = min(filled, size)
            newest = (torch.arange(following - count, following) % len(saved)).to(saved.device)
            for name, dim in (("embeddings", 0), ("tags", 1)):
                kept = getattr(self, name).clone()
                kept.narrow(dim, 0, count).copy_(state_dict[prefix + name].index_select(dim, newest))
                state_dict[prefix + name] = kept
            state_dict[f"{prefix}_extra_state"] = {"filled": count, "next": count % size}
        super()._load_from_state_dict(state_dict, prefix, *args)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        if self._stays_on_cpu:
            return self
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        return self
