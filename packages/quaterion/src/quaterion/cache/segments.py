"""Rows of a store that lie side by side, in memory or in a mapped file."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from quaterion.cache.manifest import Shard
from quaterion.cache.parts import Part

__all__ = ["FileSegment", "MemorySegment", "Segment", "merged"]


class Segment(Protocol):
    """A run of rows."""

    @property
    def keys(self) -> NDArray[np.uint8]:
        """Keys, uint8 `[n, 16]`."""
        ...

    @property
    def vectors(self) -> NDArray[Any]:
        """Vectors, `[n, D]`."""
        ...

    @property
    def tensor(self) -> Tensor:
        """The same vectors as a tensor, not copied."""
        ...


@dataclass(frozen=True)
class MemorySegment:
    """Rows in memory.

    Args:
        keys: uint8 `[n, 16]`.
        vectors: `[n, D]`.
    """

    keys: NDArray[np.uint8]
    vectors: NDArray[Any]

    @property
    def tensor(self) -> Tensor:
        """See `Segment.tensor`."""
        return torch.from_numpy(self.vectors)


@dataclass(frozen=True)
class FileSegment:
    """Rows of one part, mapped when they are first read.

    Args:
        part: The part.
        start: First row in the part.
        rows: Number of rows.
    """

    part: Part
    start: int
    rows: int

    @cached_property
    def keys(self) -> NDArray[np.uint8]:
        """See `Segment.keys`."""
        return self.part.keys(self.start, self.rows)

    @cached_property
    def vectors(self) -> NDArray[Any]:
        """See `Segment.vectors`."""
        return self.part.vectors(self.start, self.rows)

    @property
    def tensor(self) -> Tensor:
        """See `Segment.tensor`."""
        return torch.from_numpy(self.vectors)

    def followed_by(self, shard: Shard) -> bool:
        """Whether a shard's rows come right after these."""
        return shard.part == self.part.number and shard.start == self.start + self.rows


def merged(segments: list[Segment], part: Part, shard: Shard) -> list[Segment]:
    """Segments with one more shard, which extends the last segment where it follows it.

    Args:
        segments: Segments so far.
        part: The shard's part.
        shard: A shard whose rows are whole.

    Returns:
        New segments; rows of the old ones keep their numbers.
    """
    last = segments[-1] if segments else None
    if isinstance(last, FileSegment) and last.followed_by(shard):
        return [*segments[:-1], FileSegment(part, last.start, last.rows + shard.rows)]
    return [*segments, FileSegment(part, shard.start, shard.rows)]
