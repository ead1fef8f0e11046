"""Encoding a chunk of objects: batches of like length, vectors in the order of the objects."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from quaterion_runtime.counts import positive
from quaterion_runtime.folder import Graph
from quaterion_runtime.objects import graph_for
from quaterion_runtime.precision import quantize
from quaterion_runtime.readable import OnError, Reader, Skipped, check_on_error
from quaterion_runtime.session import GraphSession
from quaterion_runtime.shape import Shape


class EncodedChunk(NamedTuple):
    """The embeddings of one chunk of a stream.

    Attributes:
        vectors: `[n, D]`, in the precision that was asked for.
        positions: int64 `[n]`, where the objects stand in the stream, counted from 0.
        skipped: Objects of the chunk that could not be read; their positions are not among the others.
    """

    vectors: NDArray[Any]
    positions: NDArray[np.int64]
    skipped: list[Skipped]


@dataclass(frozen=True)
class ChunkEncoder:
    """Encodes chunks of objects.

    Args:
        sessions: The graphs, ready to run.
        side: `"query"` or `"document"`.
        batch_size: Objects in a batch.
        shape: What is wanted of the vectors.
        on_error: What to do with an object that cannot be read.

    Raises:
        ValueError: If the batch size is no positive integer, or `on_error` neither of its values.
    """

    sessions: Sequence[GraphSession]
    side: str
    batch_size: int
    shape: Shape
    on_error: OnError = "raise"

    def __post_init__(self) -> None:
        positive("batch_size", self.batch_size)
        check_on_error(self.on_error)

    def encode(
        self, objects: Sequence[Any], start: int, on_progress: Callable[[int], object] = lambda _: None
    ) -> EncodedChunk:
        """Encodes a chunk, the longest objects first.

        Args:
            objects: N objects.
            start: Where the first stands among all.
            on_progress: Called with the number of objects that are done, after each batch.

        Returns:
            Their vectors, in the order of the objects.

        Raises:
            TypeError: If an object is of another kind than the model takes.
            ValueError: If one cannot be read.
        """
        positions = range(start, start + len(objects))
        reader = Reader(positions, self.on_error)
        vectors = np.empty((len(objects), self.shape.size), dtype=np.float32)
        encoded = np.zeros(len(objects), dtype=np.bool_)
        for session, rows in self._routes(objects, positions, reader):
            for batch, kept in self._batches(session, rows, objects, positions, reader):
                vectors[kept] = self.shape.cut(session.run(batch, len(kept), self.side))
                encoded[kept] = True
                on_progress(len(kept))
        on_progress(len(reader.skipped))
        some = vectors[encoded] if reader.skipped else vectors
        where = np.array(positions, dtype=np.int64)[encoded]
        return EncodedChunk(quantize(some, self.shape.precision), where, sorted(reader.skipped))

    def _routes(
        self, objects: Sequence[Any], positions: Sequence[int], reader: Reader
    ) -> list[tuple[GraphSession, list[int]]]:
        """The rows that go to each graph."""
        graphs: list[Graph] = [session.graph for session in self.sessions]
        numbers, rows = reader.read(
            lambda some: [graph_for(objects[row], graphs, positions[row]) for row in some], list(range(len(objects)))
        )
        routes: dict[int, list[int]] = {}
        for number, row in zip(numbers or [], rows, strict=True):
            routes.setdefault(number, []).append(row)
        return [(self.sessions[number], some) for number, some in routes.items()]

    def _batches(
        self,
        session: GraphSession,
        rows: list[int],
        objects: Sequence[Any],
        positions: Sequence[int],
        reader: Reader,
    ) -> Iterator[tuple[dict[str, NDArray[Any]], list[int]]]:
        """The inputs of a graph, batch by batch, and the rows that they are of."""
        prepared, rows = reader.read(
            lambda some: session.prepare([objects[row] for row in some], self.side, [positions[row] for row in some]),
            rows,
        )
        if prepared is None:
            return
        place = {row: number for number, row in enumerate(rows)}
        lengths = sum(one.lengths() for one in prepared)
        order = np.argsort(-np.asarray(lengths), kind="stable").tolist()
        for first in range(0, len(order), self.batch_size):
            batch, kept = reader.read(
                lambda some: session.batch(prepared, [place[row] for row in some]),
                [rows[number] for number in order[first : first + self.batch_size]],
            )
            if batch is not None:
                yield batch, kept
