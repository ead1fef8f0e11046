"""The nearest of given embeddings, exactly, in bounded memory, and the same for a query alone and among others."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from quaterion_models.search.given import unit_vectors
from quaterion_models.search.nearest import Nearest, best_first, scan
from quaterion_models.search.stored_vectors import Segment, StoredVectors

_BLOCK_QUERIES = 1024
_BLOCK_ROWS = 4096


class Found(NamedTuple):
    """The nearest embeddings of each query.

    Attributes:
        similarities: Cosines, float32 `[Q, k]`, the highest first.
        rows: Where these embeddings stand, int64 `[Q, k]`.
    """

    similarities: Tensor
    rows: Tensor


class VectorSearch:
    """Finds the nearest of some embeddings by cosine, on the CPU.

    Args:
        embeddings: `[N, D]`, of any length, on any device.

    Raises:
        ValueError: If there is none, or they are no matrix of finite numbers.

    Example:
        >>> VectorSearch(torch.eye(3)).find(torch.tensor([[3.0, 4.0, 0.0]]), k=2)
        Found(similarities=tensor([[0.8000, 0.6000]]), rows=tensor([[1, 0]]))
    """

    def __init__(self, embeddings: Tensor) -> None:
        if embeddings.dim() != 2 or not embeddings.shape[0] or not embeddings.shape[1]:
            raise ValueError(f"expected embeddings [N, D], one or more, got {list(embeddings.shape)}")
        self._vectors = _unit(embeddings, embeddings.shape[1])
        self._stored = StoredVectors(embeddings.shape[1], [Segment(self._vectors, ())])

    def __len__(self) -> int:
        return len(self._vectors)

    @property
    def dimension(self) -> int:
        """Length of an embedding."""
        return self._stored.dimension

    @property
    def vectors(self) -> Tensor:
        """The embeddings, scaled to length 1: float32 `[N, D]` on the CPU, not to be written into."""
        return torch.from_numpy(self._vectors)

    def find(self, queries: Tensor, k: int) -> Found:
        """Finds the nearest embeddings; of equally near ones the first.

        Args:
            queries: `[Q, D]`.
            k: How many to find; all where there are fewer.

        Returns:
            Their similarities and rows.

        Raises:
            ValueError: If the queries are no finite vectors of the same length.
        """
        vectors = _unit(queries, self.dimension)

        def candidates(some: NDArray[np.float32], count: int) -> Nearest:
            return scan(self._stored, some, count, None)

        found = best_first(self._stored, vectors, min(k, len(self)), len(self), candidates, exact=True)
        return Found(torch.from_numpy(found.scores), torch.from_numpy(found.rows))

    def best_of_others(self, queries: Tensor, query_groups: Tensor, groups: Tensor) -> Tensor:
        """Computes the similarity of the nearest embedding that is of another group than the query.

        Args:
            queries: `[Q, D]`.
            query_groups: Their groups, int64 `[Q]`.
            groups: Groups of the embeddings, int64 `[N]`.

        Returns:
            Similarities, float32 `[Q]`; -inf where all are of the query's group.

        Raises:
            ValueError: If the queries are no finite vectors of the same length.
        """
        vectors = torch.from_numpy(_unit(queries, self.dimension))
        best = torch.full((len(vectors),), -torch.inf)
        for start in range(0, len(vectors), _BLOCK_QUERIES):
            some = slice(start, start + _BLOCK_QUERIES)
            for first in range(0, len(self), _BLOCK_ROWS):
                part = slice(first, first + _BLOCK_ROWS)
                similarities = vectors[some] @ self.vectors[part].T
                same = query_groups[some, None] == groups[None, part]
                best[some] = torch.maximum(best[some], similarities.masked_fill(same, -torch.inf).amax(dim=1))
        return best


def _unit(embeddings: Tensor, dimension: int) -> NDArray[np.float32]:
    return unit_vectors(embeddings.detach().float().cpu().numpy(), dimension)
