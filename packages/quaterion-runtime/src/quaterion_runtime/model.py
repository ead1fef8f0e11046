"""A model that was exported: loads it, encodes objects."""

from __future__ import annotations

import inspect
import itertools
import os
from collections.abc import Callable, Iterable, Iterator, Sequence, Sized
from pathlib import Path
from typing import Any, Literal, Self, TypeVar, cast

from numpy.typing import NDArray

from quaterion_runtime.chunk import ChunkEncoder, EncodedChunk
from quaterion_runtime.counts import positive
from quaterion_runtime.folder import DOCUMENT, QUERY, RuntimeFolder, read_folder
from quaterion_runtime.objects import as_objects, as_stream
from quaterion_runtime.precision import Precision, empty
from quaterion_runtime.progress import progress_bar
from quaterion_runtime.readable import OnError
from quaterion_runtime.session import GraphSession
from quaterion_runtime.shape import Shape, shape_of

CHUNK = 4096
"""Objects that are prepared and sorted by length together."""

F = TypeVar("F", bound=Callable[..., Any])


def _signature_of(original: F) -> Callable[[Callable[..., Any]], F]:
    """Gives a method the signature of another."""

    def give(method: Callable[..., Any]) -> F:
        method.__signature__ = inspect.signature(original)  # type: ignore[attr-defined]
        return cast(F, method)

    return give


class Model:
    """Turns objects into embeddings with a model that `quaterion export` wrote.

    Build it with `load`. Threads may share it.

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
            ValueError: If `threads` is not positive, or this onnxruntime has no such provider.
            ImportError: If the model takes images and Pillow is not installed.
        """
        if threads is not None:
            positive("threads", threads)
        _check_providers(providers)
        described = read_folder(Path(folder))
        return cls(
            described, [GraphSession(one, described.embedding_size, threads, providers) for one in described.graphs]
        )

    @property
    def embedding_size(self) -> int:
        """Length of the embeddings."""
        return self._folder.embedding_size

    @property
    def dimensions(self) -> tuple[int, ...] | None:
        """Lengths that the model was trained to be cut to (Matryoshka); None where that is not known."""
        return self._folder.dimensions

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
            precision: `"float32"`, `"int8"` or `"binary"`: see `quaterion_runtime.quantize`.
            show_progress: Whether to show a progress bar (needs the extra `progress`).

        Returns:
            `[n, D]` in the order of the objects, `[n, ceil(D / 8)]` of precision `"binary"`; one object gives n = 1.

        Raises:
            TypeError: If `inputs` is an iterator or a set, or an object is of another kind than the model takes.
            ValueError: If an object cannot be read, or an argument is out of range.
            RuntimeFolderError: If the graph gives no such vectors.
        """
        shape = shape_of(self._folder, normalize, dimensions, precision)
        return self._encode(inputs, batch_size, QUERY, shape, show_progress=show_progress)

    @_signature_of(encode)
    def encode_query(self, *args: Any, **options: Any) -> Any:
        """Computes embeddings of queries; the same as `encode`."""
        return self.encode(*args, **options)

    @_signature_of(encode)
    def encode_document(
        self,
        inputs: Any,
        batch_size: int = 32,
        *,
        normalize: bool = False,
        dimensions: int | None = None,
        precision: Precision = "float32",
        show_progress: bool = False,
    ) -> Any:
        """Computes embeddings of documents, with the arguments of `encode`; the same without two sides."""
        shape = shape_of(self._folder, normalize, dimensions, precision)
        return self._encode(inputs, batch_size, DOCUMENT, shape, show_progress=show_progress)

    def encode_stream(
        self,
        objects: Iterable[Any],
        *,
        batch_size: int = 32,
        chunk_size: int = CHUNK,
        side: Literal["query", "document"] | None = None,
        normalize: bool = False,
        dimensions: int | None = None,
        precision: Precision = "float32",
        on_error: OnError = "raise",
        show_progress: bool = False,
    ) -> Iterator[EncodedChunk]:
        """Computes the embeddings of a corpus that need not fit into memory, chunk by chunk, in order.

        Args:
            objects: An iterable of objects: a generator, a file, a list. They are read when their chunk is due.
            batch_size: Objects in a batch; batches hold objects of like length of one chunk.
            chunk_size: Objects in a chunk. One chunk is in memory at a time.
            side: `"query"` or `"document"`, for a two-sided model; None for queries.
            normalize: As for `encode`.
            dimensions: As for `encode`.
            precision: As for `encode`.
            on_error: `"skip"` leaves out objects that cannot be read (an unreadable image, a record without the field),
                and lists them in their chunk; `"raise"` ends with the error of the first. Errors of the model itself
                are always raised.
            show_progress: Whether to show a progress bar (needs the extra `progress`).

        Returns:
            An iterator of chunks: `vectors` `[n, D]`, `positions` int64 `[n]` and `skipped`, pairs of position and
            reason. Nothing is read before the first is asked for.

        Raises:
            TypeError: If `objects` is a single object, or one of them is of another kind than the model takes.
            ValueError: If an object cannot be read, or an argument is out of range.
            RuntimeFolderError: If the graph gives no such vectors.

        Example:
            >>> texts = iter(["a text", None, "another"])
            >>> for chunk in Model.load(folder).encode_stream(texts, on_error="skip"):
            ...     print(chunk.vectors.shape, chunk.positions, [position for position, reason in chunk.skipped])
            (2, 4) [0 2] [1]
        """
        if side not in (None, QUERY, DOCUMENT):
            raise ValueError(f'side must be "{QUERY}", "{DOCUMENT}" or None, got {side!r}')
        shape = shape_of(self._folder, normalize, dimensions, precision)
        encoder = ChunkEncoder(self._sessions, side or QUERY, batch_size, shape, on_error)
        return _chunks(encoder, as_stream(objects), positive("chunk_size", chunk_size), show_progress=show_progress)

    def _encode(self, inputs: Any, batch_size: int, side: str, shape: Shape, *, show_progress: bool) -> NDArray[Any]:
        objects = as_objects(inputs)
        encoder = ChunkEncoder(self._sessions, side, batch_size, shape)
        vectors = empty(len(objects), shape.size, shape.precision)
        with progress_bar(len(objects), enabled=show_progress) as advance:
            for start in range(0, len(objects), CHUNK):
                some = objects[start : start + CHUNK]
                vectors[start : start + len(some)] = encoder.encode(some, start, advance).vectors
        return vectors


def _chunks(encoder: ChunkEncoder, objects: Iterable[Any], size: int, *, show_progress: bool) -> Iterator[EncodedChunk]:
    total = len(objects) if isinstance(objects, Sized) else None
    source, start = iter(objects), 0
    with progress_bar(total, enabled=show_progress) as advance:
        while some := list(itertools.islice(source, size)):
            yield encoder.encode(some, start, advance)
            start += len(some)


def _check_providers(providers: Sequence[Any]) -> None:
    import onnxruntime

    known = onnxruntime.get_available_providers()
    names = [one if isinstance(one, str) else one[0] for one in providers]
    unknown = [name for name in names if name not in known]
    if unknown or not names or isinstance(providers, str):
        raise ValueError(f"providers must be some of {known}, which this onnxruntime has, got {providers!r}")
