"""Several versions of each sample, for data sets that transform their items at random."""

import random
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset

__all__ = ["ViewedDataset"]


class ViewedDataset(Dataset[Any]):
    """A map-style data set that gives K versions of each item, each with random numbers of its own and always the same.

    Before a version is read, the global random numbers of Python, NumPy and torch are set to a seed that depends on
    the item and the version only: whoever reads restores them afterwards (`undisturbed_randomness`).

    Args:
        dataset: The user's data set.
        views: K; with 1 items are read as they are, and no random number is touched.

    Example:
        >>> class Noisy(Dataset):
        ...     def __getitem__(self, index):
        ...         return random.random()
        >>> viewed = ViewedDataset(Noisy(), views=2)
        >>> a, b = viewed[0]
        >>> a == viewed.view(0, 0) != b
        True
    """

    def __init__(self, dataset: Any, *, views: int) -> None:
        self._dataset, self._views = dataset, views

    def __len__(self) -> int:
        return len(self._dataset)

    def __getitem__(self, index: int) -> list[Any]:
        return [self.view(index, view) for view in range(self._views)]

    def view(self, index: int, view: int) -> Any:
        """Reads one version of an item.

        Args:
            index: Index of the item.
            view: Number of the version, 0..K−1.
        """
        if self._views > 1:
            seed = int(np.random.SeedSequence([index, view]).generate_state(1)[0])
            random.seed(seed)
            np.random.seed(seed)  # noqa: NPY002 - the state that others draw from
            torch.manual_seed(seed)
        return self._dataset[index]
