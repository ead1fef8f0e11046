"""Similarities of a block of queries to all candidates, the same however the queries are cut into blocks."""

import torch
from torch import Tensor

from quaterion.functional.similarity import prepare, prepared_similarity, prepared_similarity_matrix

__all__ = ["RoundedSimilarity", "rounded_similarity", "rows_at_once"]

MIN_ENTRIES = 2**22
"""Entries that a block may always have: 16 MiB of float32."""

MIN_ROWS = 32
"""Rows that a block may always have: with fewer, reading the candidates for each block would dominate."""

ENTRIES_PER_POSITION = 12
"""What a position of a ranked list takes beside the block, in entries of the block (see `RankedLists`)."""

CHUNK_ENTRIES = 2**22
"""Entries of the candidates that are widened to float64 at a time, where all of them would be too many."""

WIDENED_ENTRIES = 2**26
"""Entries of the candidates that may be held in float64: 512 MiB."""


def rows_at_once(num_candidates: int, depth: int = 0, max_entries: int | None = None) -> int:
    """Number of queries whose similarities to all candidates may be held at once.

    Args:
        num_candidates: Candidates, N.
        depth: Leading positions of each ranked list that are kept as well.
        max_entries: Entries that a block may have. By default about four million, or 32 rows where those are
            more.

    Returns:
        At least 1.

    Example:
        >>> rows_at_once(num_candidates=1000, max_entries=5000)
        5
    """
    entries = max(MIN_ENTRIES, MIN_ROWS * num_candidates) if max_entries is None else max_entries
    return max(1, entries // (num_candidates + ENTRIES_PER_POSITION * depth))


class RoundedSimilarity:
    """Similarities to a fixed set of candidates, computed in float64 and rounded to what float32 vectors can tell.

    Matrix products round differently for blocks of different shape, so that two equal candidates can get
    similarities that differ in the last bit, and a score would depend on how the data was cut. Float64 keeps such
    noise far below the error that float32 vectors have anyway, and rounding makes ties of it. Candidates are *tied*
    where their rounded similarities are equal: cosines and dot products are rounded to multiples of a unit, 2⁻³⁰ of
    the largest that vectors of these lengths can have, and all similarities to float32.

    Args:
        candidates: `[N, D]`.
        metric: One of `quaterion.functional.similarity.METRICS`.

    Example:
        >>> RoundedSimilarity(torch.tensor([[3.0, 4.0]]), "cosine")(torch.tensor([[1.0, 0.0], [0.0, -1.0]]))
        tensor([[ 0.6000],
                [-0.8000]])
    """

    def __init__(self, candidates: Tensor, metric: str) -> None:
        self.metric = metric
        self.candidates = candidates
        # Apple's GPUs know no float64.
        self.wide_type = torch.float32 if candidates.device.type == "mps" else torch.float64
        self.step = max(1, CHUNK_ENTRIES // max(1, candidates.shape[1]))
        self.prepared: Tensor | None = None
        if candidates.numel() <= WIDENED_ENTRIES:
            self.prepared = prepare(candidates.to(self.wide_type), metric)
        self.longest = torch.linalg.vector_norm(candidates, dim=1, dtype=self.wide_type).max()

    def __call__(self, queries: Tensor) -> Tensor:
        """Similarities of some queries to all candidates.

        Args:
            queries: `[B, D]`.

        Returns:
            float32 `[B, N]`, all finite.
        """
        queries = prepare(queries.to(self.wide_type), self.metric)
        rounder = self._rounder(queries)
        largest = torch.finfo(torch.float32).max
        block = torch.empty((len(queries), len(self.candidates)), dtype=torch.float32, device=queries.device)
        for start in range(0, len(self.candidates), self.step):
            chunk = slice(start, start + self.step)
            similarity = prepared_similarity_matrix(queries, self._prepared(chunk), self.metric)
            if rounder is not None:
                similarity.add_(rounder).sub_(rounder)
            # A dot product of huge vectors may exceed float32; infinity is kept for what is no candidate.
            block[:, chunk] = similarity.clamp_(-largest, largest)
        return block

    def _prepared(self, chunk: slice) -> Tensor:
        if self.prepared is not None:
            return self.prepared[chunk]
        return prepare(self.candidates[chunk].to(self.wide_type), self.metric)

    def _rounder(self, queries: Tensor) -> Tensor | None:
        """What rounds each row of products when it is added and taken away again, `[B, 1]`.

        A cosine near 0 is a sum of terms that cancel: its error is small beside 1, not beside itself, and float32
        would keep it. Distances have no such place.
        """
        if self.metric not in ("cosine", "dot_product"):
            return None
        longest = torch.ones_like(self.longest) if self.metric == "cosine" else self.longest
        return _rounder_of(torch.linalg.vector_norm(queries, dim=1, keepdim=True) * longest)


def rounded_similarity(x: Tensor, y: Tensor, metric: str) -> Tensor:
    """Similarity of each row of `x` to the same row of `y`, rounded as `RoundedSimilarity` rounds.

    Dot products are rounded to one unit for all rows, that of the longest of `x` and the longest of `y`.

    Args:
        x: `[n, D]`, finite.
        y: `[n, D]`, finite.
        metric: One of `quaterion.functional.similarity.METRICS`.

    Returns:
        float32 `[n]`, all finite.

    Example:
        >>> rounded_similarity(torch.tensor([[3.0, 4.0]]), torch.tensor([[-2.0, 0.0]]), "cosine")
        tensor([-0.6000])
    """
    wide_type = torch.float32 if x.device.type == "mps" else torch.float64
    result = torch.empty(len(x), dtype=torch.float32, device=x.device)
    if not len(x):
        return result
    bound = torch.ones((), dtype=wide_type, device=x.device)
    if metric == "dot_product":
        for side in (x, y):
            bound = bound * torch.linalg.vector_norm(side, dim=1, dtype=wide_type).max()
    rounder = _rounder_of(bound) if metric in ("cosine", "dot_product") else None
    largest = torch.finfo(torch.float32).max
    step = max(1, CHUNK_ENTRIES // max(1, x.shape[1]))
    for start in range(0, len(x), step):
        first, second = (prepare(side[start : start + step].to(wide_type), metric) for side in (x, y))
        similarity = prepared_similarity(first, second, metric)
        if rounder is not None:
            similarity = similarity.add(rounder).sub_(rounder)
        result[start : start + step] = similarity.clamp_(-largest, largest)
    return result


def _rounder_of(bound: Tensor) -> Tensor:
    """What rounds to a unit, 2⁻³⁰ of the power of two above a bound (2⁻²⁰ in float32), when added and taken away."""
    bits, digits = (30, 52) if bound.dtype == torch.float64 else (20, 23)
    _, exponent = torch.frexp(bound)
    # At this size the spacing of the type is the unit, so that the addition rounds to it.
    return torch.ldexp(torch.full_like(bound, 1.5), exponent - bits + digits)
