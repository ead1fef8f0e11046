"""Encoding many objects with a model: batches of like length, results in the order of the objects."""

from __future__ import annotations

from collections.abc import Callable, ItemsView, Iterator, KeysView, Sequence, ValuesView
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from quaterion_models.batch_to import to_device
from quaterion_models.heads.encoder_head import positive_size

if TYPE_CHECKING:
    from quaterion_models.model import SimilarityModel

# Kinds of one-dimensional arrays whose elements are objects of their own: text, bytes and Python objects.
_OBJECT_KINDS = frozenset("USTO")


def as_objects(inputs: Any) -> Sequence[Any]:
    """Decides what is one object and what is many.

    Many objects: a list, tuple (not a named one), range or other sequence; the rows of an array or tensor of two or
    more dimensions; the elements of a one-dimensional array of text or objects. Everything else is one object: text,
    bytes, a dict, a named tuple, an image, a one-dimensional array of numbers.

    Args:
        inputs: One object or many.

    Returns:
        The objects; one alone becomes a list of one.

    Raises:
        TypeError: For iterators and sets, whose length or order is not known.

    Example:
        >>> as_objects("one text"), as_objects(("two", "texts"))
        (['one text'], ('two', 'texts'))
        >>> len(as_objects(np.zeros((5, 3)))), len(as_objects(np.zeros(3)))
        (5, 1)
    """
    if isinstance(inputs, np.ndarray):
        # An array without elements is no object at all.
        many = inputs.ndim >= 2 or (inputs.ndim == 1 and (inputs.dtype.kind in _OBJECT_KINDS or not inputs.size))
        return list(inputs) if many else [inputs]
    if isinstance(inputs, Tensor):
        return list(inputs) if inputs.dim() >= 2 or inputs.shape == (0,) else [inputs]
    if isinstance(inputs, (str, bytes, bytearray, memoryview)):
        return [inputs]
    if isinstance(inputs, Sequence):
        return [inputs] if hasattr(inputs, "_fields") else inputs
    if isinstance(inputs, (Iterator, set, frozenset, KeysView, ValuesView, ItemsView)):
        raise TypeError(
            f"encode takes a list, tuple, array or one object, got {type(inputs).__name__}: pass list(...) of it"
        )
    return [inputs]


def encode_objects(
    model: SimilarityModel,
    objects: Sequence[Any],
    *,
    batch_size: int,
    side: str | None,
    normalize: bool,
    show_progress: bool,
) -> Tensor:
    """Encodes objects, the longest first, in eval mode and without gradients.

    Args:
        model: The model; its training mode is restored afterwards.
        objects: N objects.
        batch_size: Objects in a batch.
        side: `"query"`, `"document"`, or None for a model without sides.
        normalize: Whether to scale each vector to length 1.
        show_progress: Whether to show a progress bar.

    Returns:
        `[N, D]` on the CPU, in the order of the objects.
    """
    batch_size = positive_size(batch_size, "batch_size")
    head = model.required_head()
    encoders = list(model.encoders.values())
    lengths = [sum([encoder.length(obj) for encoder in encoders]) for obj in objects]
    order = sorted(range(len(objects)), key=lengths.__getitem__, reverse=True)
    collate = model.get_collate_fn()
    device = model.device
    result: Tensor | None = None
    with eval_mode(model), torch.no_grad(), _progress(len(objects), enabled=show_progress) as advance:
        for start in range(0, len(order), batch_size):
            rows = order[start : start + batch_size]
            batch = collate([objects[row] for row in rows], None if side is None else [side] * len(rows))
            vectors = model({"data": to_device(batch["data"], device), "meta": batch["meta"]})
            if len(vectors) != len(rows):
                raise ValueError(f"the model gave {len(vectors)} vectors for {len(rows)} objects, expected one each")
            if normalize:
                vectors = F.normalize(vectors, dim=1)
            if result is None:  # the first batch tells size and dtype
                result = torch.empty(len(objects), vectors.shape[1], dtype=vectors.dtype)
            result[torch.tensor(rows)] = vectors.cpu()
            advance(len(rows))
    return result if result is not None else torch.zeros(0, head.output_size)


@contextmanager
def eval_mode(module: nn.Module) -> Iterator[None]:
    """Puts a module into eval mode, and every submodule back into its own mode afterwards."""
    modes = [(part, part.training) for part in module.modules()]
    module.eval()
    try:
        yield
    finally:
        for part, training in modes:
            part.training = training


@contextmanager
def _progress(total: int, *, enabled: bool) -> Iterator[Callable[[int], None]]:
    if not enabled:
        yield lambda _: None
        return
    from quaterion_models.extras import require

    bars = require("rich.progress", extra="progress")
    columns = (
        bars.TextColumn("{task.description}"),
        bars.BarColumn(),
        bars.MofNCompleteColumn(),
        bars.TimeRemainingColumn(),
    )
    with bars.Progress(*columns) as progress:
        task = progress.add_task("Encoding", total=total)
        yield lambda count: progress.advance(task, count)
