"""Similarities of a block of queries to all candidates, the same however the queries are cut into blocks."""

import torch
from torch import Tensor

from quaterion.functional.similarity import (
    prepare,
    prepared_distance,
    prepared_distance_matrix,
    prepared_similarity,
    prepared_similarity_matrix,
)

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
    where they are equally near after rounding: cosines and dot products are rounded to multiples of a unit, 2⁻³⁰ of
    the largest that vectors of these lengths can have, squared Euclidean distances to 2⁻⁴⁰ of the largest that such
    vectors about the candidates' mean can have, and in the end all of them, and distances, to float32.

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
        self.centre = torch.zeros(candidates.shape[1], dtype=self.wide_type, device=candidates.device)
        if metric == "euclidean":
            self.centre = candidates.mean(dim=0, dtype=self.wide_type)
        self.longest = torch.stack([self._lengths(part).max() for part in torch.split(candidates, self.step)]).max()

    def __call__(self, queries: Tensor) -> Tensor:
        """Similarities of some queries to all candidates.

        Args:
            queries: `[B, D]`.

        Returns:
            float32 `[B, N]`, all finite.
        """
        nearness = self.nearness(queries)
        return nearness if self.metric in ("cosine", "dot_product") else nearness.neg_().add_(1.0).reciprocal_()

    def nearness(self, queries: Tensor) -> Tensor:
        """What orders candidates as their similarity does: that itself, or the negative of a distance.

        Of a short distance d the similarity 1 / (1 + d) keeps few digits in float32, the distance all.

        Args:
            queries: `[B, D]`.

        Returns:
            float32 `[B, N]`, all finite, larger is nearer.
        """
        rounder = self._rounder(queries)
        queries = prepare(queries.to(self.wide_type), self.metric)
        largest = torch.finfo(torch.float32).max
        block = torch.empty((len(queries), len(self.candidates)), dtype=torch.float32, device=queries.device)
        for start in range(0, len(self.candidates), self.step):
            chunk = slice(start, start + self.step)
            nearness = self._rounded(queries, self._prepared(chunk), rounder)
            # A dot product of huge vectors may exceed float32; infinity is kept for what is no candidate.
            block[:, chunk] = nearness.clamp_(-largest, largest)
        return block

    def _rounded(self, queries: Tensor, candidates: Tensor, rounder: Tensor) -> Tensor:
        if self.metric == "manhattan":
            return prepared_distance_matrix(queries, candidates, self.metric).neg_()
        if self.metric == "euclidean":
            squares = prepared_distance_matrix(queries, candidates, self.metric).square_()
            return squares.add_(rounder).sub_(rounder).sqrt_().neg_()
        return prepared_similarity_matrix(queries, candidates, self.metric).add_(rounder).sub_(rounder)

    def _prepared(self, chunk: slice) -> Tensor:
        if self.prepared is not None:
            return self.prepared[chunk]
        return prepare(self.candidates[chunk].to(self.wide_type), self.metric)

    def _lengths(self, vectors: Tensor) -> Tensor:
        lengths: Tensor = torch.linalg.vector_norm(vectors.to(self.wide_type) - self.centre, dim=1)
        return lengths

    def _rounder(self, queries: Tensor) -> Tensor:
        """What rounds each row of products or squares when it is added and taken away again, `[B, 1]`.

        A cosine near 0 is a sum of terms that cancel: its error is small beside 1, not beside itself, and float32
        would keep it. So is the square of a short Euclidean distance between long vectors. Manhattan distances have
        no such place, and are not rounded by it.
        """
        lengths = self._lengths(queries).unsqueeze(1)
        if self.metric == "euclidean":
            return _rounder_of((lengths + self.longest).square(), bits=40)
        return _rounder_of(torch.ones_like(lengths) if self.metric == "cosine" else lengths * self.longest)


def rounded_similarity(x: Tensor, y: Tensor, metric: str) -> Tensor:
    """Similarity of each row of `x` to the same row of `y`, rounded as `RoundedSimilarity` rounds.

    Dot products are rounded to one unit for all rows, that of the longest of `x` and the longest of `y`.

    Args:
        x: `[n, D]`, finite.
        y: `[n, D]`, finite.
        metric: One of `quaterion.functional.similarity.METRICS`.

    Returns:
        float64 `[n]`, all finite: a cosine or dot product as float32 holds it, or 1 / (1 + d) of a distance d as
        float32 holds that.

    Example:
        >>> rounded_similarity(torch.tensor([[3.0, 4.0]]), torch.tensor([[-2.0, 0.0]]), "cosine")
        tensor([-0.6000], dtype=torch.float64)
    """
    wide_type = torch.float32 if x.device.type == "mps" else torch.float64
    result = torch.empty(len(x), dtype=wide_type, device=x.device)
    if not len(x):
        return result
    bound = torch.ones((), dtype=wide_type, device=x.device)
    if metric == "dot_product":
        for side in (x, y):
            bound = bound * torch.linalg.vector_norm(side, dim=1, dtype=wide_type).max()
    rounder = _rounder_of(bound)
    largest = torch.finfo(torch.float32).max
    step = max(1, CHUNK_ENTRIES // max(1, x.shape[1]))
    for start in range(0, len(x), step):
        first, second = (prepare(side[start : start + step].to(wide_type), metric) for side in (x, y))
        if metric in ("cosine", "dot_product"):
            products = prepared_similarity(first, second, metric).add(rounder).sub_(rounder)
            result[start : start + step] = products.clamp_(-largest, largest).float()
        else:
            result[start : start + step] = 1 / (1 + prepared_distance(first, second, metric).float().to(wide_type))
    return result


def _rounder_of(bound: Tensor, bits: int = 30) -> Tensor:
    """What rounds to a unit, 2⁻³⁰ of the power of two above a bound (2⁻²⁰ in float32), when added and taken away."""
    bits, digits = (bits, 52) if bound.dtype == torch.float64 else (20, 23)
    _, exponent = torch.frexp(bound)
    # At this size the spacing of the type is the unit, so that the addition rounds to it.
    return torch.ldexp(torch.full_like(bound, 1.5), exponent - bits + digits)
