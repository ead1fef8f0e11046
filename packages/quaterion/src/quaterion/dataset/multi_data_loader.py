"""Several data sets in one training."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

import torch

from quaterion.batch import Batch
from quaterion.dataset.similarity_data_loader import SimilarityDataLoader
from quaterion.utils.ranks import Ranks

__all__ = ["MultiBatches", "MultiSimilarityDataLoader", "NamedBatches"]

Strategy = Literal["proportional", "round_robin"]


class MultiSimilarityDataLoader:
    """Loaders of several data sets, whose batches take turns; each batch is of one data set.

    With a `CombinedLoss` whose losses have the names of the data sets each one is trained with its own loss; any other
    loss serves them all.

    Args:
        loaders: By the name of the data set.
        strategy: "proportional" draws every batch of every data set once in an epoch, in random order;
            "round_robin" takes a batch of each in turn and ends the epoch with the shortest.

    Raises:
        TypeError: A loader is of another kind.
        ValueError: There is no loader, or an unknown strategy.

    Example:
        >>> from quaterion.dataset import GroupSimilarityDataLoader, SimilarityGroupSample
        >>> loader = GroupSimilarityDataLoader([SimilarityGroupSample("a", 0), SimilarityGroupSample("b", 1)])
        >>> len(MultiSimilarityDataLoader({"one": loader, "two": loader}))
        4
    """

    def __init__(self, loaders: Mapping[str, SimilarityDataLoader[Any]], strategy: Strategy = "proportional") -> None:
        if not loaders:
            raise ValueError("MultiSimilarityDataLoader got no loaders; expected at least one by name.")
        for name, loader in loaders.items():
            if not isinstance(loader, SimilarityDataLoader):
                raise TypeError(
                    f"MultiSimilarityDataLoader got {name!r}: {type(loader).__name__}; expected a "
                    "GroupSimilarityDataLoader or a PairsSimilarityDataLoader."
                )
        if strategy not in {"proportional", "round_robin"}:
            raise ValueError(f"strategy={strategy!r}; expected 'proportional' or 'round_robin'.")
        self.loaders = dict(loaders)
        self.strategy = strategy

    def __len__(self) -> int:
        return _epoch_length([len(loader) for loader in self.loaders.values()], self.strategy)


class NamedBatches:
    """Batches marked with the name of their data set.

    Args:
        name: The name.
        batches: An iterable of `Batch` with a length.
    """

    def __init__(self, name: str, batches: Any) -> None:
        self.name, self._batches = name, batches

    def __len__(self) -> int:
        return len(self._batches)

    def __iter__(self) -> Iterator[Batch]:
        return (batch._replace(source=self.name) for batch in self._batches)


class MultiBatches:
    """Batches of several data sets in turn.

    Args:
        batches: Iterables of named `Batch` with a length.
        strategy: As for `MultiSimilarityDataLoader`.
        ranks: The processes that train together, which take the same turns.

    Raises:
        TypeError: A data set's batches have no length, by which they would take turns.
    """

    def __init__(self, batches: Sequence[NamedBatches], strategy: Strategy, ranks: Ranks | None = None) -> None:
        for one in batches:
            try:
                len(one)
            except TypeError as error:
                raise TypeError(
                    f"The data set {one.name!r} has no length, by which data sets take turns in a training on several. "
                    "Give its class a __len__, or cache its vectors (configure_caches), which counts its samples."
                ) from error
        self._batches = batches
        self._strategy = strategy
        self._ranks = ranks or Ranks()

    def __len__(self) -> int:
        return _epoch_length([len(one) for one in self._batches], self._strategy)

    def __iter__(self) -> Iterator[Batch]:
        lengths = [len(one) for one in self._batches]
        if self._strategy == "round_robin":
            turns = list(range(len(lengths))) * min(lengths)
        else:
            every = torch.repeat_interleave(torch.arange(len(lengths)), torch.tensor(lengths))
            turns = self._ranks.broadcast(every[torch.randperm(len(every))].tolist() if self._ranks.rank == 0 else [])
        running = [iter(one) for one in self._batches]
        for turn in turns:
            yield next(running[turn])


def _epoch_length(lengths: list[int], strategy: Strategy) -> int:
    return sum(lengths) if strategy == "proportional" else min(lengths) * len(lengths)
