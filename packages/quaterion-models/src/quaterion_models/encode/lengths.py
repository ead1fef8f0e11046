"""What objects cost to encode, so that batches hold objects of like length."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from quaterion_models.collate import prepared

if TYPE_CHECKING:
    from quaterion_models.model import SimilarityModel


def total_lengths(
    model: SimilarityModel, objects: Sequence[Any], sides: Sequence[str] | None, *, exact: bool
) -> list[int]:
    """Adds up what the encoders of a model say about the lengths of objects.

    Args:
        model: The model.
        objects: n objects.
        sides: The side of each; None for a model without sides.
        exact: Whether to ask the encoders' `lengths`, which may tokenise, or `length`, a quick estimate.

    Returns:
        n lengths.

    Raises:
        ValueError: If an encoder tells another number of them.
    """
    total = [0] * len(objects)
    for encoder in model.encoders.values():
        own = prepared(objects, sides, encoder.get_side_fn())
        lengths = counted(encoder.lengths, own) if exact else map(encoder.length, own)
        total = [old + new for old, new in zip(total, lengths, strict=True)]
    return total


def counted(count: Callable[[Sequence[Any]], Iterable[int]], objects: Sequence[Any]) -> list[int]:
    """Asks an encoder for the lengths of objects.

    Args:
        count: Its `lengths`.
        objects: n objects.

    Returns:
        n lengths.

    Raises:
        ValueError: If it tells another number of them.
    """
    lengths = list(count(objects))
    if len(lengths) != len(objects):
        name = getattr(count, "__qualname__", count)
        raise ValueError(f"{name} gave {len(lengths)} numbers for {len(objects)} objects, expected one each")
    return lengths
