"""Which candidates are relevant to a query."""

from typing import Protocol

import torch
from torch import Tensor

__all__ = ["GroupRelevance", "LinkRelevance", "Relevance"]


class Relevance(Protocol):
    """Says which of N candidates are relevant to each of Q queries."""

    num_relevant: Tensor
    """Relevant candidates of each query other than itself, `[Q]`."""

    def __call__(self, queries: Tensor) -> Tensor:
        """Marks the relevant candidates of some queries.

        Args:
            queries: Numbers of queries, `[B]`.

        Returns:
            bool `[B, N]`; what it says of a query's own row has no meaning.
        """
        ...


class GroupRelevance:
    """Objects of one group are relevant to each other; every object is a query over the others.

    Args:
        groups: `[N]`.

    Example:
        >>> relevance = GroupRelevance(torch.tensor([5, 7, 5]))
        >>> relevance.num_relevant, relevance(torch.tensor([1]))
        (tensor([1, 0, 1]), tensor([[False,  True, False]]))
    """

    def __init__(self, groups: Tensor) -> None:
        distinct, self._groups, sizes = torch.unique(groups, return_inverse=True, return_counts=True)
        self.num_groups = len(distinct)
        self.num_relevant = sizes[self._groups] - 1

    def __call__(self, queries: Tensor) -> Tensor:
        """See `Relevance`."""
        same: Tensor = self._groups[queries].unsqueeze(1) == self._groups  # [B, N]
        return same


class LinkRelevance:
    """Objects that are linked, and objects of equal content, are relevant to each other.

    A link binds contents, not rows: what is linked to an object is linked to every other row of equal
    content. Without this, a copy of the right answer would count as a wrong one, and perfect embeddings would
    not score 1.

    Args:
        query_ids: Content of each query, `[Q]`: equal ids mark equal objects.
        candidate_ids: Content of each candidate, `[N]`.
        links: Pairs of contents that are relevant to each other, `[L, 2]`.
        own: Whether every query is also a candidate, so that its own row is not to be counted.

    Example:
        >>> ids = torch.tensor([10, 20, 30, 20])  # rows 1 and 3 hold the same object
        >>> relevance = LinkRelevance(ids, ids, torch.tensor([[10, 20]]), own=True)
        >>> relevance.num_relevant, relevance(torch.tensor([0]))[:, 1:]  # row 0 is the query itself
        (tensor([2, 2, 0, 2]), tensor([[ True, False,  True]]))
    """

    def __init__(self, query_ids: Tensor, candidate_ids: Tensor, links: Tensor, *, own: bool) -> None:
        flat = torch.cat([query_ids, candidate_ids, links.flatten()])
        contents, dense = torch.unique(flat, return_inverse=True)
        self._num_contents = len(contents)
        sizes = [len(query_ids), len(candidate_ids), 2 * len(links)]
        self._queries, self._candidates, ends = torch.split(dense, sizes)
        self._starts, self._partners = self._neighbours(ends.view(-1, 2))
        copies = torch.bincount(self._candidates, minlength=self._num_contents)  # [U]
        # Partners are sorted by the content they belong to: sums over them are differences of running sums.
        running = torch.cat([copies.new_zeros(1), copies[self._partners].cumsum(0)])
        related = copies + running[self._starts[1:]] - running[self._starts[:-1]]
        self.num_relevant = related[self._queries] - int(own)

    def _neighbours(self, ends: Tensor) -> tuple[Tensor, Tensor]:
        """Partners of content u are `partners[starts[u]:starts[u + 1]]`."""
        both = torch.cat([ends, ends.flip(1)])
        both = torch.unique(both[both[:, 0] != both[:, 1]], dim=0)  # sorted by the first
        degrees = torch.bincount(both[:, 0], minlength=self._num_contents)
        return torch.cat([degrees.new_zeros(1), degrees.cumsum(0)]), both[:, 1]

    def __call__(self, queries: Tensor) -> Tensor:
        """See `Relevance`."""
        contents = self._queries[queries]  # [B]
        starts = self._starts[contents]
        degrees = self._starts[contents + 1] - starts
        row = torch.repeat_interleave(torch.arange(len(queries), device=queries.device), degrees)  # [E]
        within = torch.arange(len(row), device=row.device) - (degrees.cumsum(0) - degrees)[row]
        related = torch.zeros((len(queries), self._num_contents), dtype=torch.bool, device=queries.device)
        related[row, self._partners[starts[row] + within]] = True
        related.scatter_(1, contents.unsqueeze(1), value=True)
        return related[:, self._candidates]  # [B, N]
