"""Batches through an encoder in chunks, so that a large batch takes the memory of a small one."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from quaterion.utils.numbers import is_whole_number
from quaterion_models.encoders.switch_encoder import SwitchBatch
from quaterion_models.encoders.token_states import TokenStates

__all__ = ["check_chunk_size", "in_chunks", "rows_of"]


def check_chunk_size(size: Any) -> None:
    """Refuses what is no number of objects.

    Args:
        size: `TrainableModel.chunk_size`.

    Raises:
        ValueError: It is neither None nor a whole number of 1 or more.
    """
    if size is not None and (not is_whole_number(size) or size < 1):
        raise ValueError(f"chunk_size={size!r}; expected a whole number of objects, 1 or more, or None.")


def in_chunks(
    run: Callable[[Any], Tensor], inputs: Any, rows: int, size: int, device: torch.device | str = "cpu"
) -> Tensor:
    """Vectors of a batch, of which no more than `size` objects are ever inside the encoder.

    Where gradients are wanted, a chunk keeps nothing but its inputs: in the backward pass, when the gradients of the
    whole batch's loss with respect to its vectors are known, each chunk is computed again, with the random numbers and
    the precision that it had, and hands its part on to the weights. This is GradCache
    (https://arxiv.org/abs/2101.06983) as a graph of autograd's own, so clipping, accumulation, mixed precision and
    gradients shared by processes are as ever. The gradients are those of the whole batch; layers that look at several
    objects at once, such as batch normalization in training mode, see a chunk.

    Args:
        run: From inputs to vectors `[n, D]`.
        inputs: What a collate function returned for the batch.
        rows: B, objects of the batch.
        size: Objects of a chunk.
        device: Where the encoder runs, and draws its random numbers.

    Returns:
        `[B, D]`.

    Raises:
        ValueError: The inputs cannot be cut into rows, or the rows that they are cut into are not those of objects.
    """
    if rows <= size:
        return run(inputs)
    parts = [rows_of(inputs, rows, start, min(start + size, rows)) for start in range(0, rows, size)]
    if torch.is_grad_enabled():
        # `checkpoint` repeats the random numbers of the devices whose tensors it is given. Inputs may be texts.
        there = torch.empty(0, device=device)
        vectors = torch.cat([checkpoint(_given, there, run, part, use_reentrant=False) for part in parts])
    else:
        vectors = torch.cat([run(part) for part in parts])
    if len(vectors) != rows:
        raise ValueError(
            f"The encoder gave {len(vectors)} vectors for {rows} objects that it took in chunks; expected one of each, "
            "so what was cut are not rows of objects. Return tensors with a row for each object from the collate "
            "function, or set chunk_size = None."
        )
    return vectors


def _given(there: Tensor, run: Callable[[Any], Tensor], part: Any) -> Tensor:  # noqa: ARG001
    return run(part)


def rows_of(inputs: Any, rows: int, start: int, stop: int) -> Any:
    """Some rows of what a collate function returned.

    Args:
        inputs: Tensors with a row for each object, and lists of one value or tensor for each object, in dicts, lists,
            tuples and named tuples; text, numbers, booleans and None stay. Of a SwitchBatch each option's own objects
            are taken.
        rows: Objects of the batch.
        start: The first row.
        stop: The row behind the last one.

    Returns:
        A nest of the same form; of other mappings a dict. Of tokens with an `attention_mask`, and of their states,
        columns at the end that are padding in all of the rows are left out.

    Raises:
        ValueError: A tensor has another number of rows, or there is something else.

    Example:
        >>> rows_of({"ids": torch.arange(3), "names": ["a", "b", "c"], "kind": "text"}, 3, 1, 3)
        {'ids': tensor([1, 2]), 'names': ['b', 'c'], 'kind': 'text'}
    """
    if isinstance(inputs, Tensor) and inputs.ndim and len(inputs) == rows:
        return inputs[start:stop]
    if isinstance(inputs, SwitchBatch):
        return _switched_rows(inputs, start, stop)
    if isinstance(inputs, TokenStates):
        return inputs.rows(start, stop)
    if isinstance(inputs, Mapping):
        return _without_padding({key: rows_of(value, rows, start, stop) for key, value in inputs.items()})
    if isinstance(inputs, list | tuple):
        nested = [value for value in inputs if isinstance(value, Tensor | Mapping | list | tuple)]
        # Pictures of several sizes come in a list with a tensor for each.
        by_object = isinstance(inputs, list) and not all(_may_have_rows(value, rows) for value in nested)
        if len(inputs) == rows and (by_object or not nested):
            return inputs[start:stop]
        if nested:
            values = [rows_of(value, rows, start, stop) for value in inputs]
            if isinstance(inputs, list):
                return values
            return type(inputs)(*values) if hasattr(inputs, "_fields") else tuple(values)
    if inputs is None or isinstance(inputs, str | bool | int | float):
        return inputs
    shape = f" of shape {list(inputs.shape)}" if isinstance(inputs, Tensor) else ""
    raise ValueError(
        f"chunk_size cannot cut a {type(inputs).__name__}{shape} into rows of {rows} objects; expected tensors with a "
        "row for each object, and lists, tuples and dicts of them, from the encoder's collate function. Return such, "
        "or set chunk_size = None."
    )


def _may_have_rows(value: Any, rows: int) -> bool:
    return isinstance(value, Mapping) or (len(value) == rows if not isinstance(value, Tensor) or value.ndim else False)


def _without_padding(inputs: dict[Any, Any]) -> dict[Any, Any]:
    """Tokens as long as the longest of these rows: a batch is padded to its longest, which most chunks do not have."""
    mask = inputs.get("attention_mask")
    if not isinstance(mask, Tensor) or mask.ndim != 2:
        return inputs
    used = mask.any(dim=0).nonzero()
    width = int(used[-1]) + 1 if len(used) else 1

    def is_of_tokens(value: Any) -> bool:
        """Whether it is as the mask is: numbers with a fraction are features, however many of them there are."""
        alike = isinstance(value, Tensor) and value.shape == mask.shape
        return alike and (value is mask or not value.is_floating_point())

    return {key: value[:, :width] if is_of_tokens(value) else value for key, value in inputs.items()}


def _switched_rows(batch: SwitchBatch, start: int, stop: int) -> SwitchBatch:
    """Some rows of a batch whose objects are grouped by their encoders; options without any of them are left out."""
    chosen, rows = {}, {}
    for name, places in batch.rows.items():  # ascending, so that what is in the range stands together
        first, last = torch.searchsorted(places, places.new_tensor([start, stop])).tolist()
        if first < last:
            chosen[name] = rows_of(batch.inputs[name], len(places), first, last)
            rows[name] = places[first:last] - start
    return SwitchBatch(chosen, rows)
