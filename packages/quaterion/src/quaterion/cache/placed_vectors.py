"""The cached vectors of one data set, where training reads them."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from quaterion.cache.embedding_store import EmbeddingStore
from quaterion.cache.key_index import KeyIndex, distinct_keys

__all__ = ["PlacedVectors"]


@dataclass(frozen=True)
class PlacedVectors:
    """Vectors of a data set's distinct objects on one device, and which of them each object has.

    Args:
        vectors: `[U, D]`, one row for each distinct object.
        rows: int64 `[T]`, row of each object; None where objects are distinct and in order.
        index: Finds the row of a key.
    """

    vectors: Tensor
    rows: Tensor | None
    index: KeyIndex

    @classmethod
    def place(cls, store: EmbeddingStore, keys: NDArray[np.uint8], device: torch.device) -> "PlacedVectors":
        """Copies what a data set needs of a store to a device.

        Args:
            store: A store that holds every key.
            keys: uint8 `[T, 16]`, keys of the data set's objects.
            device: Where the vectors are wanted.

        Returns:
            The placed vectors.
        """
        first, inverse = distinct_keys(keys)
        vectors = store.take(store.rows(keys[first])).to(device)
        in_order = len(first) == len(keys)
        return cls(vectors, None if in_order else torch.from_numpy(inverse), KeyIndex(keys[first]))

    def take(self, objects: Tensor) -> Tensor:
        """Vectors of objects.

        Args:
            objects: int64 `[B]` on the CPU, numbers of objects in the data set.

        Returns:
            float32 `[B, D]` on the vectors' device.
        """
        rows = objects if self.rows is None else self.rows.index_select(0, objects)
        return self._select(rows)

    def lookup(self, keys: NDArray[np.uint8]) -> Tensor:
        """Vectors of objects given by their keys.

        Args:
            keys: uint8 `[B, 16]`.

        Returns:
            float32 `[B, D]` on the vectors' device.

        Raises:
            ValueError: A key was not in the data set when it was read.
        """
        rows = self.index.rows(keys)
        if (rows < 0).any():
            raise ValueError(
                "An object of this batch was not in the data set when the cache was filled, so the data set gives "
                "other objects each time it is read. Expected the same object each time: take random transforms out "
                "of the data set, or set CacheConfig(cache_type=CacheType.NONE)."
            )
        return self._select(torch.from_numpy(rows))

    def _select(self, rows: Tensor) -> Tensor:
        return self.vectors.index_select(0, rows.to(self.vectors.device, non_blocking=True)).float()
