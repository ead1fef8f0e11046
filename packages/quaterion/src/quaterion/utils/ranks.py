"""The processes of one training: which one this is, and what they tell each other."""

from typing import Any, Self, TypeVar

import torch.distributed as dist

__all__ = ["Ranks"]

T = TypeVar("T")


class Ranks:
    """The processes that train one model together, numbered from 0, or a process that trains alone.

    Messages travel between main memories, by gloo, whatever carries gradients: no GPU has to be waited for.

    Args:
        rank: Number of this process.
        size: Number of processes.
        group: Their process group, for messages; None for a process on its own.

    Example:
        >>> alone = Ranks()
        >>> alone.broadcast("seed"), alone.gather(3), Ranks(1, 2).share(5)
        ('seed', [3], slice(2, 5, None))
    """

    def __init__(self, rank: int = 0, size: int = 1, group: dist.ProcessGroup | None = None) -> None:
        self.rank, self.size, self._group = rank, size, group

    @classmethod
    def of_process_group(cls) -> Self:
        """The processes of torch's process group; all of them have to call this."""
        return cls(dist.get_rank(), dist.get_world_size(), dist.new_group(backend="gloo"))

    def __reduce__(self) -> tuple[Any, ...]:
        # A copy, in a saved model or a loader's worker, knows its number and sends no messages.
        return type(self), (self.rank, self.size)

    def share(self, count: int) -> slice:
        """This process's slice of so many things in order; slices differ by one at most, and may be empty.

        Args:
            count: How many there are.
        """
        return slice(count * self.rank // self.size, count * (self.rank + 1) // self.size)

    def broadcast(self, value: T) -> T:
        """What the first process passes, on all of them.

        Args:
            value: Anything that can be pickled; of the other processes it does not matter.
        """
        if self._group is None:
            return value
        values = [value]
        dist.broadcast_object_list(values, src=0, group=self._group)
        return values[0]

    def gather(self, value: T) -> list[T]:
        """What each process passes, in their order, on all of them.

        Args:
            value: Anything that can be pickled.
        """
        if self._group is None:
            return [value]
        values: list[Any] = [None] * self.size
        dist.all_gather_object(values, value, group=self._group)
        return values
