"""Encoding all objects of a corpus, in this process or in others."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence, Sized
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from quaterion_models.encode.lengths import total_lengths
from quaterion_models.encode.objects import as_objects, as_stream
from quaterion_models.encode.portion import EncodedPortion, EncodeOptions, Portion, PortionEncoder
from quaterion_models.encode.progress import progress_bar
from quaterion_models.encode.readable import Skipped, read_rows
from quaterion_models.encode.workers import Device, check_devices, encode_in_workers
from quaterion_models.heads.encoder_head import positive_size

if TYPE_CHECKING:
    from quaterion_models.model import SimilarityModel

PORTION = 4096
"""Objects of a list whose exact lengths are looked at together."""

PORTIONS_A_DEVICE = 4
"""At least so many are dealt out to each process, so that all of them end at about the same time."""


class EncodedChunk(NamedTuple):
    """The embeddings of one chunk of a stream.

    Attributes:
        vectors: `[n, D]`, float32, or float16 of a model in half precision.
        positions: int64 `[n]`, where the objects stand in the stream, counted from 0.
        skipped: Objects of the chunk that could not be read; their positions are not among the others.
    """

    vectors: NDArray[Any]
    positions: NDArray[np.int64]
    skipped: list[Skipped]


def encode(
    model: SimilarityModel,
    inputs: Any,
    options: EncodeOptions,
    *,
    to_numpy: bool,
    devices: Sequence[Device] | None,
    show_progress: bool,
) -> NDArray[Any] | Tensor:
    """Encodes one object or many; see `SimilarityModel.encode`.

    Batches hold objects of like length: all are sorted by the encoders' quick estimate, then those of a portion by
    their exact lengths. That leaves as little padding as exact lengths of all would.

    Args:
        model: The model.
        inputs: One object or many.
        options: How to encode; an object that cannot be read is always an error.
        to_numpy: Whether to return an array.
        devices: A process for each; None for this one.
        show_progress: Whether to show a progress bar.

    Returns:
        `[n, D]`; beside it no more than a portion of the vectors is kept at any time.
    """
    objects = as_objects(inputs)
    devices = check_devices(devices)
    size = _portion_size(len(objects), options.batch_size, 0 if devices is None else len(devices))
    order = _coarse_order(model, objects, options) if len(objects) > size else range(len(objects))
    rows = [order[start : start + size] for start in range(0, len(order), size)]
    portions = (Portion(some, [objects[row] for row in some]) for some in rows)
    if devices is not None:
        devices = devices[: len(rows)]
    result: Tensor | None = None
    with progress_bar(len(objects), enabled=show_progress) as advance:
        for encoded in _encoded(model, portions, options, devices, advance):
            vectors = encoded.vectors
            if result is None:  # the first portion tells size and dtype
                dtype = _numpy_dtype(vectors.dtype) if to_numpy else vectors.dtype
                result = torch.empty(len(objects), vectors.shape[1], dtype=dtype)
            result[torch.tensor(encoded.positions)] = vectors.to(result.dtype)
    if result is None:
        result = torch.zeros(0, model.required_head().output_size)
    return result.numpy() if to_numpy else result


def encode_stream(
    model: SimilarityModel,
    objects: Iterable[Any],
    options: EncodeOptions,
    *,
    chunk_size: int,
    devices: Sequence[Device] | None,
    show_progress: bool,
) -> Iterator[EncodedChunk]:
    """Encodes objects as they come; see `SimilarityModel.encode_stream`.

    Args:
        model: The model.
        objects: Read one chunk at a time.
        options: How to encode.
        chunk_size: Objects in a chunk.
        devices: A process for each; None for this one.
        show_progress: Whether to show a progress bar.

    Returns:
        The chunks, in order; nothing is read or encoded before the first is asked for.
    """
    objects = as_stream(objects)
    chunk_size = positive_size(chunk_size, "chunk_size")
    model.required_head()
    return _chunks(model, objects, options, chunk_size, check_devices(devices), show_progress=show_progress)


def _chunks(
    model: SimilarityModel,
    objects: Iterable[Any],
    options: EncodeOptions,
    chunk_size: int,
    devices: list[torch.device] | None,
    *,
    show_progress: bool,
) -> Iterator[EncodedChunk]:
    total = len(objects) if isinstance(objects, Sized) else None
    with progress_bar(total, enabled=show_progress) as advance:
        for encoded in _encoded(model, _portions(objects, chunk_size), options, devices, advance):
            vectors = encoded.vectors.to(_numpy_dtype(encoded.vectors.dtype)).numpy()
            yield EncodedChunk(vectors, np.array(encoded.positions, dtype=np.int64), encoded.skipped)


def _encoded(
    model: SimilarityModel,
    portions: Iterable[Portion],
    options: EncodeOptions,
    devices: Sequence[torch.device] | None,
    advance: Callable[[int], None],
) -> Iterator[EncodedPortion]:
    """The encoded portions, in order; none is read long before it is encoded."""
    if not devices:
        encoder = PortionEncoder(model, options)
        for portion in portions:
            yield encoder.encode(portion, advance)
        return
    for encoded in encode_in_workers(model, portions, options, devices):
        advance(len(encoded.positions) + len(encoded.skipped))
        yield encoded


def _portions(objects: Iterable[Any], size: int) -> Iterator[Portion]:
    source = iter(objects)
    start = 0
    while some := list(itertools.islice(source, size)):
        yield Portion(range(start, start + len(some)), some)
        start += len(some)


def _portion_size(count: int, batch_size: int, devices: int) -> int:
    """Whole batches; for several processes small enough that all have as much to do."""
    size = PORTION if not devices else min(PORTION, -(-count // (PORTIONS_A_DEVICE * devices)))
    return max(1, -(-size // batch_size)) * batch_size


def _coarse_order(model: SimilarityModel, objects: Sequence[Any], options: EncodeOptions) -> Sequence[int]:
    def lengths(some: list[int]) -> list[int]:
        sides = None if options.side is None else [options.side] * len(some)
        return total_lengths(model, [objects[row] for row in some], sides, exact=False)

    rows = range(len(objects))
    known: list[int] = []
    for start in range(0, len(objects), PORTION):  # not all at once: with prompts that would be a copy of the corpus
        some = list(rows[start : start + PORTION])
        found, _, _ = read_rows(lengths, some, objects=objects, positions=rows, on_error="raise")
        known += found or []
    return sorted(rows, key=known.__getitem__, reverse=True)


def _numpy_dtype(dtype: torch.dtype) -> torch.dtype:
    return torch.float32 if dtype == torch.bfloat16 else dtype  # numpy has no bfloat16
