"""States of tokens between two layers of a transformer: as they are kept, and as the upper layers take them."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class TokenStates(NamedTuple):
    """Padded states of a batch, which the `forward` of a partly trained encoder takes in the place of its input.

    Attributes:
        states: `[B, T, H]`, the tokens of each object from the left; what lies behind them does not count.
        mask: `[B, T]` int64, 1 for a token and 0 for padding.
    """

    states: Tensor
    mask: Tensor

    def rows(self, start: int, stop: int) -> TokenStates:
        """Returns the states of some objects, as long as the longest of them.

        Args:
            start: The first object.
            stop: The object behind the last one.
        """
        mask = self.mask[start:stop]
        longest = int(mask.sum(1).max())
        return TokenStates(self.states[start:stop, :longest], mask[:, :longest])


class RaggedStates(NamedTuple):
    """States of a batch without padding.

    Attributes:
        values: `[ΣT, H]`, the tokens of the first object, then those of the second one, and so on.
        counts: `[B]` int64, how many tokens each object has.

    Example:
        >>> ragged = RaggedStates(torch.tensor([[1.0], [2.0], [3.0]]), torch.tensor([1, 2]))
        >>> ragged.padded().mask.tolist()
        [[1, 0], [1, 1]]
    """

    values: Tensor
    counts: Tensor

    def padded(self) -> TokenStates:
        """Returns the same states, padded to the longest object."""
        starts = self.counts.cumsum(0) - self.counts
        return take_padded(self.values, starts, self.counts)


def take_padded(table: Tensor, starts: Tensor, counts: Tensor) -> TokenStates:
    """Takes runs of rows out of a table and pads them to the longest.

    Args:
        table: `[N, H]`.
        starts: int64 `[B]`, the first row of each run.
        counts: int64 `[B]`, the rows of each run, at least 1.

    Returns:
        States `[B, T, H]` on the table's device.
    """
    places, mask = padded_places(starts, counts)
    states = table.index_select(0, places.flatten().to(table.device))
    return TokenStates(states.view(*places.shape, -1), mask.to(table.device))


def padded_places(starts: Tensor, counts: Tensor) -> tuple[Tensor, Tensor]:
    """Works out which row stands at each place of padded runs.

    Args:
        starts: int64 `[B]`, the first row of each run.
        counts: int64 `[B]`, the rows of each run, at least 1.

    Returns:
        Rows, int64 `[B, T]`, with the first row of a run in the place of padding; and the mask, int64 `[B, T]`.
    """
    offsets = torch.arange(int(counts.max()), device=counts.device)  # [T]
    inside = offsets < counts.unsqueeze(1)  # [B, T]
    return starts.unsqueeze(1) + offsets * inside, inside.long()
