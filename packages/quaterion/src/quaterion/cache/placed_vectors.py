"""The cached vectors of one data set, where training reads them."""

from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from quaterion.cache.embedding_store import EmbeddingStore
from quaterion.cache.key_index import KeyIndex, distinct_keys
from quaterion.cache.placement import Placement

__all__ = ["PlacedVectors"]

BLOCK_ROWS = 65536
"""Rows moved to a GPU at a time."""


class PlacedVectors:
    """Vectors of a data set's distinct objects, and which of them each object has.

    Vectors that lie in memory anyway, in a store without a folder, and those that stay on disk are read where they
    are; others are copied once, in the order of the data set.

    Args:
        store: A store that holds every key.
        keys: uint8 `[T, 16]`, keys of the data set's objects, or of their views.
        placement: Where the vectors are wanted.

    Example:
        >>> store = EmbeddingStore.from_vectors(["a", "b"], [[1.0], [2.0]])
        >>> here = Placement(torch.device("cpu"), on_disk=False, reason="")
        >>> placed = PlacedVectors(store, store.keys[[1, 0, 1]], here)
        >>> placed.take(torch.tensor([0, 1, 2])).flatten().tolist()
        [2.0, 1.0, 2.0]
    """

    def __init__(self, store: EmbeddingStore, keys: NDArray[np.uint8], placement: Placement) -> None:
        self._store = store
        self._device = placement.device
        self._table: Tensor | None = None
        stay = placement.device.type == "cpu" and (placement.on_disk or store.folder is None)
        if stay:
            rows = store.rows(keys)
            self._table = store.tensor
        else:
            first, rows = distinct_keys(keys)
            self._table = _copied(store, store.rows(keys[first]), placement.device)
        in_order = bool((rows == np.arange(len(rows))).all())
        self._rows = None if in_order else torch.from_numpy(rows)
        self._keys = keys
        store.forget_index()

    @cached_property
    def _index(self) -> KeyIndex:
        return KeyIndex(self._keys)

    def take(self, objects: Tensor) -> Tensor:
        """Vectors of objects.

        Args:
            objects: int64 `[B]` on the CPU, places in `keys`.

        Returns:
            float32 `[B, D]` on the vectors' device.
        """
        rows = objects if self._rows is None else self._rows.index_select(0, objects)
        if self._table is None:
            return self._store.take(rows).float()
        return self._table.index_select(0, rows.to(self._device, non_blocking=True)).float()

    def lookup(self, keys: NDArray[np.uint8]) -> Tensor:
        """Vectors of objects given by their keys.

        Args:
            keys: uint8 `[B, 16]`.

        Returns:
            float32 `[B, D]` on the vectors' device.

        Raises:
            ValueError: A key was not in the data set when it was read.
        """
        return self.take(objects_of(self._index, keys))


def objects_of(index: KeyIndex, keys: NDArray[np.uint8]) -> Tensor:
    """Places of a batch's objects in a data set.

    Args:
        index: Keys of the data set's objects.
        keys: uint8 `[B, 16]`.

    Returns:
        int64 `[B]`.

    Raises:
        ValueError: A key was not in the data set when it was read.
    """
    objects = index.rows(keys)
    if (objects < 0).any():
        raise ValueError(
            "An object of this batch was not in the data set when the cache was filled, so the data set gives "
            "other objects each time it is read. Expected the same object each time: take random transforms out "
            "of the data set, or set CacheConfig(cache_type=CacheType.NONE)."
        )
    return torch.from_numpy(objects)


def _copied(store: EmbeddingStore, rows: NDArray[np.int64], device: torch.device) -> Tensor:
    table = torch.empty((len(rows), store.dimension), dtype=store.dtype, device=device)
    for start in range(0, len(rows), BLOCK_ROWS):
        table[start : start + BLOCK_ROWS] = store.take(rows[start : start + BLOCK_ROWS])
    return table
