"""Which samples make the next batch: exactly those that torch's DataLoader would draw, as index tensors."""

from collections.abc import Iterable, Iterator
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import BatchSampler, DataLoader, IterableDataset, RandomSampler, SequentialSampler

from quaterion.dataset.batch_samplers import TensorBatchSampler

__all__ = ["IndexBatches"]


class IndexBatches:
    """Batches of sample indices in the order, and from the random numbers, of a given loader.

    One pass takes from the global generator (or the loader's own) exactly what one pass over the loader takes,
    so training from a cache meets the same batches, and the same dropout masks, as training without one.
    Torch's own shuffled and sequential samplers are drawn as whole tensors; any other sampler or batch sampler
    is iterated as it is.

    Args:
        loader: The loader whose sampler, batch size, `drop_last` and generator are used.
        length: Number of samples, needed where the data set is iterable.
        batch_sizes: Samples in each batch of an iterable data set, where they are not as the loader says.

    Raises:
        ValueError: The loader does not batch (`batch_size=None`).

    Example:
        >>> loader = DataLoader(range(5), batch_size=2)
        >>> [batch.tolist() for batch in IndexBatches(loader, length=5)]
        [[0, 1], [2, 3], [4]]
    """

    def __init__(self, loader: DataLoader[Any], *, length: int, batch_sizes: list[int] | None = None) -> None:
        if loader.batch_sampler is None and not isinstance(loader.dataset, IterableDataset):
            raise ValueError("The loader has batch_size=None; expected batches: give it a batch_size.")
        self._loader = loader
        self._length = length
        self._batch_sizes = batch_sizes
        self._keeps_workers = loader.persistent_workers and loader.num_workers > 0
        self._started = False

    def __len__(self) -> int:
        if isinstance(self._loader.dataset, IterableDataset):
            return len(self._stream_batches())
        return len(self._loader.batch_sampler)  # type: ignore[arg-type]

    def __iter__(self) -> Iterator[Tensor]:
        if not (self._started and self._keeps_workers):
            # A DataLoader draws a seed for its workers when it starts them, even where there are none.
            torch.empty((), dtype=torch.int64).random_(generator=self._loader.generator)
        self._started = True
        yield from self._draw()

    def _draw(self) -> Iterable[Tensor]:
        loader = self._loader
        if isinstance(loader.dataset, IterableDataset):
            return self._stream_batches()
        batch_sampler = loader.batch_sampler
        if isinstance(batch_sampler, TensorBatchSampler):
            return batch_sampler.index_batches()
        if type(batch_sampler) is BatchSampler:
            order = _whole_order(batch_sampler.sampler)
            if order is not None:
                return _chunks(order, batch_sampler.batch_size, drop_last=batch_sampler.drop_last)
        assert batch_sampler is not None  # noqa: S101 - the constructor refused it; this tells the type checker
        return (torch.as_tensor(indices, dtype=torch.int64) for indices in batch_sampler)

    def _stream_batches(self) -> list[Tensor]:
        loader, order = self._loader, torch.arange(self._length)
        size = loader.batch_size or 1
        batches = torch.split(order, size if self._batch_sizes is None else self._batch_sizes)
        return [batch for batch in batches if len(batch) == size or not loader.drop_last]


def _whole_order(sampler: Any) -> Tensor | None:
    """The order of one epoch as a tensor, None for a sampler that only Python can iterate."""
    if type(sampler) is SequentialSampler:
        return torch.arange(len(sampler))
    if type(sampler) is not RandomSampler or sampler.replacement or sampler.num_samples != len(sampler.data_source):
        return None
    generator = sampler.generator
    if generator is None:
        generator = torch.Generator()
        generator.manual_seed(int(torch.empty((), dtype=torch.int64).random_().item()))
        return torch.randperm(sampler.num_samples, generator=generator)
    order = torch.randperm(sampler.num_samples, generator=generator)
    # RandomSampler permutes once more for a remainder that is empty here: a generator of the user's own must
    # be left as it would leave it.
    torch.randperm(sampler.num_samples, generator=generator)
    return order


def _chunks(order: Tensor, size: int, *, drop_last: bool) -> Iterator[Tensor]:
    batches = torch.split(order, size)
    if drop_last and len(order) % size:
        batches = batches[:-1]
    return iter(batches)
