"""Batches for training: drawn from cached vectors, read through the encoders, or both."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

from quaterion.batch import Batch, Features
from quaterion.cache.placed_states import PlacedStates
from quaterion.cache.placed_vectors import PlacedVectors
from quaterion.dataset.drawing import IndexBatches
from quaterion.dataset.rank_slices import AgreedStream, RankSlices
from quaterion.dataset.raw_collate import KeyedBatch, with_collate
from quaterion.dataset.similarity_data_loader import SimilarityDataLoader
from quaterion.dataset.target_table import TargetTable
from quaterion.utils.ranks import Ranks
from quaterion_models.encoders.token_states import TokenStates
from quaterion_models.meta import Meta

__all__ = ["CachedBatches", "RawBatches"]


class CachedBatches:
    """Draws the batches of a loader as whole tensors: no sample, object or label is touched as a Python object.

    Args:
        indices: Which samples make a batch.
        table: Targets of the data set.
        placed: Vectors of the data set's objects, by encoder in the model's order.
        meta: What heads route by, one entry an object; None where there is nothing to route by.
        views: K, cached views of each object, of which every step draws one for each object.

    Example:
        A training loop of one's own, with no Trainer:

        ```python
        batches = quaterion.train.prepare_batches(model, loader)
        optimizer = model.configure_optimizers()
        for _ in range(epochs):
            for batch in batches:
                loss = model.compute_loss(model.embed(batch.features), batch.targets)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
        ```
    """

    def __init__(
        self,
        indices: IndexBatches | RankSlices,
        table: TargetTable,
        placed: Mapping[str, PlacedVectors | PlacedStates],
        meta: Meta | None,
        *,
        views: int = 1,
    ) -> None:
        self._indices = indices
        self._table = table
        self._placed = dict(placed)
        self._meta = meta
        self._views = views
        self._passes = 0
        self._blank: dict[int, Meta] = {}

    def __len__(self) -> int:
        return len(self._indices)

    def __iter__(self) -> Iterator[Batch]:
        # Views are drawn from a generator of their own: the batches and dropout masks of a seed stay what they are.
        views = torch.Generator().manual_seed((torch.initial_seed() + self._passes) % 2**63)
        self._passes += 1
        for samples in self._indices:
            objects, targets = self._table.batch(torch.as_tensor(samples))
            places = objects
            if self._views > 1:
                places = objects * self._views + torch.randint(self._views, objects.shape, generator=views)
            taken = {name: placed.take(places) for name, placed in self._placed.items()}
            meta = self._no_meta(len(objects)) if self._meta is None else self._meta.take(objects)
            yield Batch(_with(taken, Features(cached={}, inputs={}, meta=meta)), targets)

    def _no_meta(self, rows: int) -> Meta:
        if rows not in self._blank:
            self._blank[rows] = Meta.empty(rows)
        return self._blank[rows]


class RawBatches:
    """Batches read by the loader's workers: inputs of the encoders that run, vectors of those that are cached.

    Args:
        loader: The user's loader, which stays as it is: batches are drawn by a loader beside it, from the same
            sampler and generator.
        collate: Prepares the running encoders' inputs, and keys for the cached ones.
        placed: Vectors of the data set's objects, by cached encoder.
        batch_sampler: Which samples make a batch, if not what the loader says.
        ranks: The processes that read the same stream, of which `collate` takes this one's slices; None where it is
            none.
    """

    def __init__(
        self,
        loader: SimilarityDataLoader[Any],
        collate: Callable[[list[Any]], KeyedBatch],
        placed: Mapping[str, PlacedVectors | PlacedStates],
        *,
        batch_sampler: RankSlices | None = None,
        ranks: Ranks | None = None,
    ) -> None:
        drawn = with_collate(loader, collate, batch_sampler=batch_sampler)
        self._loader: Any = drawn if ranks is None else AgreedStream(drawn, ranks)
        self._placed = dict(placed)

    def __len__(self) -> int:
        return len(self._loader)

    def __iter__(self) -> Iterator[Batch]:
        batch = None
        for batch, keys, _ in self._loader:
            taken = {name: self._placed[name].lookup(keys[name]) for name in keys}
            yield batch._replace(features=_with(taken, batch.features))
        if batch is None:
            raise ValueError("The data set is empty. Expected at least one sample: check where its items come from.")


def _with(taken: Mapping[str, Tensor | TokenStates], features: Features) -> Features:
    """Features with what a cache gave: vectors, or states of tokens from which an encoder goes on."""
    vectors = {name: one for name, one in taken.items() if isinstance(one, Tensor)}
    states = {name: one for name, one in taken.items() if not isinstance(one, Tensor)}
    return features._replace(cached=vectors, inputs={**features.inputs, **states})
