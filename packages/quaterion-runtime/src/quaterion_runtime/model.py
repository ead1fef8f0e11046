"""A model that was exported: loads it, encodes objects."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from quaterion_runtime.folder import DOCUMENT, QUERY, RuntimeFolder, read_folder
from quaterion_runtime.objects import as_objects, graph_for
from quaterion_runtime.precision import Precision, check_precision, quantize
from quaterion_runtime.progress import progress_bar
from quaterion_runtime.session import GraphSession

CHUNK = 4096
"""Objects that are prepared and sorted by length together."""


class EncodedChunk(NamedTuple):
    """The embeddings of one chunk of a stream.

    Attributes:
        vectors: `[n, D]`, in the precision that was asked for.
        positions: int64 `[n]`, where the objects stand in the stream, counted from 0.
    """

    vectors: NDArray[Any]
    positions: NDArray[np.int64]


class Model:
    """Turns objects into embeddings with a model that `quaterion export` wrote.

    Build it with :meth:`load`. Threads may share it.

    Args:
        folder: What the folder says.
        sessions: Its graphs, ready to run.

    Example:
        >>> model = Model.load(folder)
        >>> model.encode(["a text", "another"]).shape
        (2, 4)
    """

    def __init__(self, folder: RuntimeFolder, sessions: Sequence[GraphSession]) -> None:
        self._folder = folder
        self._sessions = list(sessions)

    @classmethod
    def load(
        cls,
        folder: str | os.PathLike[str],
        *,
        threads: int | None = None,
        providers: Sequence[str] = ("CPUExecutionProvider",),
    ) -> Self:
        """Loads an exported model; nothing that the folder holds is run as code.

        Args:
            folder: The folder.
            threads: Threads that compute one batch; None for one per physical core.
            providers: Execution providers of onnxruntime, the preferred one first.

        Returns:
            The model.

        Raises:
            RuntimeFolderError: If a file is missing, damaged, hostile or of a newer format.
            ValueError: If `threads` is not positive.
            ImportError: If the model takes images and Pillow is not installed.
        """
        if threads is not None and threads < 1:
            raise ValueError(f"threads must be 1 or more, or None, got {threads}")
        described = read_folder(Path(folder))
        return cls(
            described, [GraphSession(one, described.embedding_size, threads, providers) for one in described.graphs]
        )

    @property
    def embedding_size(self) -> int:
        """Length of the embeddings."""
        return self._folder.embedding_size

    @property
    def two_sided(self) -> bool:
        """Whether queries and documents are embedded differently."""
        return self._folder.two_sided

    def encode(
        self,
        inputs: Any,
        batch_size: int = 32,
        *,
        normalize: bool = False,
        dimensions: int | None = None,
        precision: Precision = "float32",
        show_progress: bool = False,
    ) -> NDArray[Any]:
        """Computes the embeddings of objects; of a two-sided model, of queries.

        Args:
            inputs: Many objects: a list, a tuple, the rows of an array of two or more dimensions, or a one-dimensional
                array of text. Anything else is one object, a one-dimensional array of numbers included.
            batch_size: Objects in a batch; batches hold objects of like length.
            normalize: Whether to scale every embedding to length 1; those of a model that was exported so have it.
            dimensions: Components to keep, of models trained for that (Matryoshka); what is kept of embeddings of
                length 1 is scaled to length 1 again.
            precision: `"float32"`, `"int8"` or `"binary"`: see :func:`quaterion_runtime.quantize`.
            show_progress: Whether to show a progress bar (needs the extra `progress`).

        Returns:
            `[n, D]` in the order of the objects, `[n, ceil(D / 8)]` of precision `"binary"`; one object gives n = 1.

        Raises:
            TypeError: If `inputs` is an iterator or a set, or an object is of another kind than the model takes.
            ValueError: If an object cannot be read, or an argument is out of range.
        """
        return self._encode(inputs, batch_size, QUERY, _Shape.of(self._folder, normalize, dimensions, precision),
                            show_progress=show_progress)  # fmt: skip

    def encode_query(self, inputs: Any, batch_size: int = 32, **options: Any) -> NDArray[Any]:
        """Computes embeddings of queries; the same as :meth:`encode`, with its options."""
        return self.encode(inputs, batch_size, **options)

    def encode_document(
        self,
        inputs: Any,
        batch_size: int = 32,
        *,
        normalize: bool = False,
        dimensions: int | None = None,
        precision: Precision = "float32",
        show_progress: bool = False,
    ) -> NDArray[Any]:
        """Computes embeddings of documents; arguments, result and errors as of :meth:`encode`."""
        return self._encode(inputs, batch_size, DOCUMENT, _Shape.of(self._folder, normalize, dimensions, precision),
                            show_progress=show_progress)  # fmt: skip

    def encode_stream(
        self,
        objects: Iterable[Any],
        batch_size: int = 32,
        *,
        side: str = QUERY,
        chunk_size: int = CHUNK,
        normalize: bool = False,
        dimensions: int | None = None,
        precision: Precision = "float32",
    ) -> Iterator[EncodedChunk]:
        """Computes embeddings of a corpus that need not fit into memory, chunk by chunk.

        Args:
            objects: Objects, read as they are needed.
            batch_size: As for :meth:`encode`.
            side: `"query"` or `"document"`.
            chunk_size: Objects that are read, sorted by length and returned together.
            normalize: As for :meth:`encode`.
            dimensions: As for :meth:`encode`.
            precision: As for :meth:`encode`.

        Returns:
            The chunks, in order. Nothing is read before the first is asked for.

        Raises:
            TypeError: If `objects` is one text, or no iterable.
            ValueError: If an argument is out of range.
        """
        if isinstance(objects, str | bytes) or not isinstance(objects, Iterable):
            raise TypeError(f"encode_stream takes many objects, got one {type(objects).__name__}: pass a list of it")
        for name, value in (("batch_size", batch_size), ("chunk_size", chunk_size)):
            _check_positive(name, value)
        if side not in (QUERY, DOCUMENT):
            raise ValueError(f'side must be "query" or "document", got {side!r}')
        shape = _Shape.of(self._folder, normalize, dimensions, precision)
        return self._stream(iter(objects), batch_size, side, chunk_size, shape)

    def _stream(
        self, source: Iterator[Any], batch_size: int, side: str, chunk_size: int, shape: _Shape
    ) -> Iterator[EncodedChunk]:
        start = 0
        while some := list(itertools.islice(source, chunk_size)):
            positions = range(start, start + len(some))
            vectors = np.empty((len(some), shape.size), dtype=np.float32)
            self._fill(vectors, some, positions, batch_size, side, shape, lambda _: None)
            yield EncodedChunk(quantize(vectors, shape.precision), np.array(positions, dtype=np.int64))
            start += len(some)

    def _encode(self, inputs: Any, batch_size: int, side: str, shape: _Shape, *, show_progress: bool) -> NDArray[Any]:
        _check_positive("batch_size", batch_size)
        objects = as_objects(inputs)
        parts = []
        with progress_bar(len(objects), enabled=show_progress) as advance:
            for start in range(0, len(objects), CHUNK):
                some = objects[start : start + CHUNK]
                vectors = np.empty((len(some), shape.size), dtype=np.float32)
                self._fill(vectors, some, range(start, start + len(some)), batch_size, side, shape, advance)
                parts.append(quantize(vectors, shape.precision))
        if not parts:
            return quantize(np.empty((0, shape.size), dtype=np.float32), shape.precision)
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def _fill(
        self,
        vectors: NDArray[np.float32],
        objects: Sequence[Any],
        positions: Sequence[int],
        batch_size: int,
        side: str,
        shape: _Shape,
        advance: Callable[[int], object],
    ) -> None:
        """Writes the embeddings of a chunk, each batch where its objects stood."""
        routes: dict[int, list[int]] = {}
        for row, obj in enumerate(objects):
            routes.setdefault(graph_for(obj, self._folder.graphs, positions[row]), []).append(row)
        for number, rows in routes.items():
            session = self._sessions[number]
            prepared = session.prepare([objects[row] for row in rows], side, [positions[row] for row in rows])
            lengths = sum(one.lengths() for one in prepared)
            order = np.argsort(-np.asarray(lengths), kind="stable")
            for start in range(0, len(order), batch_size):
                batch = order[start : start + batch_size].tolist()
                vectors[[rows[row] for row in batch]] = shape.cut(session.run(prepared, batch, side))
                advance(len(batch))


class _Shape(NamedTuple):
    """What the caller wants of the vectors that the graph gives."""

    size: int
    scale: bool
    precision: Precision

    @classmethod
    def of(cls, folder: RuntimeFolder, normalize: bool, dimensions: int | None, precision: Precision) -> Self:
        check_precision(precision)
        if dimensions is None:
            return cls(folder.embedding_size, normalize and not folder.normalized, precision)
        if not 1 <= dimensions <= folder.embedding_size:
            raise ValueError(f"dimensions must lie in 1..{folder.embedding_size}, got {dimensions}")
        if (
            dimensions != folder.embedding_size
            and folder.dimensions is not None
            and dimensions not in folder.dimensions
        ):
            raise ValueError(f"the model was trained for the dimensions {list(folder.dimensions)}, got {dimensions}")
        return cls(dimensions, normalize or folder.normalized, precision)

    def cut(self, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        vectors = vectors[:, : self.size]
        if not self.scale:
            return vectors
        norms = np.linalg.norm(vectors, axis=1, keepdims=True)
        scaled: NDArray[np.float32] = np.divide(vectors, np.maximum(norms, 1e-12), dtype=np.float32)
        return scaled


def _check_positive(name: str, value: int) -> None:
    if type(value) is not int or value < 1:
        raise ValueError(f"{name} must be a whole number of 1 or more, got {value!r}")
