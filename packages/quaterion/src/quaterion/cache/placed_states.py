"""The cached token states of one data set, where training reads them."""

from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from quaterion.cache.embedding_store import EmbeddingStore
from quaterion.cache.key_index import KeyIndex, distinct_keys
from quaterion.cache.placed_vectors import BLOCK_ROWS, objects_of
from quaterion.cache.placement import Placement
from quaterion_models.encoders.token_states import TokenStates, padded_places

__all__ = ["PlacedStates"]


class PlacedStates:
    """Token states of a data set's distinct objects, and which of them each object has.

    As of `PlacedVectors`, those that lie in memory anyway and those that stay on disk are read where they are; others
    are copied once. Where a run of tokens begins and how long it is stays in memory: 16 bytes an object.

    Args:
        store: A store of token states that holds every key.
        keys: uint8 `[T, 16]`, keys of the data set's objects, or of their views.
        placement: Where the states are wanted.
    """

    def __init__(self, store: EmbeddingStore, keys: NDArray[np.uint8], placement: Placement) -> None:
        self._store, self._keys = store, keys
        first, self._objects = (torch.from_numpy(part) for part in distinct_keys(keys))
        rows = store.rows(keys[first.numpy()])
        self._starts, self._counts = torch.from_numpy(rows), torch.from_numpy(store.counts(rows))
        self._table: Tensor | None = store.tensor
        stay = placement.device.type == "cpu" and (placement.on_disk or store.folder is None)
        if not stay:
            self._table = _copied(store, self._starts, self._counts, placement.device)
            self._starts = self._counts.cumsum(0) - self._counts
        store.forget_index()

    @cached_property
    def _index(self) -> KeyIndex:
        return KeyIndex(self._keys)

    def take(self, objects: Tensor) -> TokenStates:
        """States of objects, padded to the longest of them.

        Args:
            objects: int64 `[B]` on the CPU, places in `keys`.

        Returns:
            States `[B, T, H]` in the store's precision, on their device.
        """
        runs = self._objects.index_select(0, objects)
        places, mask = padded_places(self._starts.index_select(0, runs), self._counts.index_select(0, runs))
        if self._table is None:
            return TokenStates(self._store.take(places.flatten()).view(*places.shape, -1), mask)
        device = self._table.device
        states = self._table.index_select(0, places.flatten().to(device, non_blocking=True))
        return TokenStates(states.view(*places.shape, -1), mask.to(device, non_blocking=True))

    def lookup(self, keys: NDArray[np.uint8]) -> TokenStates:
        """States of objects given by their keys.

        Args:
            keys: uint8 `[B, 16]`.

        Returns:
            States `[B, T, H]`.

        Raises:
            ValueError: A key was not in the data set when it was read.
        """
        return self.take(objects_of(self._index, keys))


def _copied(store: EmbeddingStore, starts: Tensor, counts: Tensor, device: torch.device) -> Tensor:
    """The rows of the runs, one run behind the other."""
    ends = counts.cumsum(0)
    total = int(ends[-1])
    table = torch.empty((total, store.dimension), dtype=store.dtype, device=device)
    rows = torch.repeat_interleave(starts - (ends - counts), counts) + torch.arange(total)
    for start in range(0, total, BLOCK_ROWS):
        table[start : start + BLOCK_ROWS] = store.take(rows[start : start + BLOCK_ROWS])
    return table
