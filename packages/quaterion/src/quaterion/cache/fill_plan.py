"""Which objects to encode, in which batches: the same for every process that has the same data and the same store."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from quaterion.cache.embedding_store import SHARD_ROWS, EmbeddingStore
from quaterion.cache.key_index import distinct_keys

__all__ = ["FillPlan", "plan_fill"]

PORTIONS = 4
"""Portions of a share: the first ones hold the longest objects, so that equal numbers are unequal work."""


@dataclass(frozen=True)
class FillPlan:
    """Objects to encode, the longest first, so that padding is small and a batch too large for memory shows at once.

    Args:
        objects: int64 `[M]`, numbers of objects.
        batch_size: Objects in a batch.
    """

    objects: NDArray[np.int64]
    batch_size: int

    def __len__(self) -> int:
        return len(self.objects)

    def portion(self, writers: int = 1) -> int:
        """Batches in a portion.

        Args:
            writers: As for `chunks`.
        """
        most = SHARD_ROWS if writers == 1 else min(SHARD_ROWS, len(self) // (writers * PORTIONS))
        return max(1, most // self.batch_size)

    def chunks(self, writers: int = 1) -> Iterator[list[NDArray[np.int64]]]:
        """Batches in the portions that a writer claims at a time: whole batches of about one shard.

        Args:
            writers: How many are about to share the plan, so that no portion is more than a part of one's share.
        """
        batches = self.portion(writers)
        for start in range(0, len(self.objects), batches * self.batch_size):
            portion = self.objects[start : start + batches * self.batch_size]
            yield [portion[i : i + self.batch_size] for i in range(0, len(portion), self.batch_size)]


def plan_fill(
    store: EmbeddingStore,
    keys: NDArray[np.uint8],
    lengths: Callable[[NDArray[np.int64]], NDArray[np.int64]],
    *,
    batch_size: int,
) -> FillPlan:
    """Plans the encoding of every distinct object that a store lacks.

    The order depends on lengths and keys alone. What a fill has done before it was interrupted are whole batches, and
    without them the rest falls into the very batches that it would have fallen into: so a resumed fill, and several
    processes that share one, give the same vectors, to the last bit, as one that nothing disturbs.

    Args:
        store: The store to fill.
        keys: uint8 `[T, 16]`, keys of all objects of the data set.
        lengths: From numbers of missing objects, int64 `[M]`, to their lengths; the same at every call.
        batch_size: Objects in a batch.

    Returns:
        The plan, empty if nothing is missing.
    """
    missing = np.flatnonzero(store.rows(keys) < 0)
    missing = missing[distinct_keys(keys[missing])[0]]
    words = np.ascontiguousarray(keys[missing]).view(">u8")
    order = np.lexsort((words[:, 1], words[:, 0], -lengths(missing)))
    return FillPlan(missing[order], batch_size)
