"""What objects cost to encode, so that batches hold objects of like length."""

from __future__ import annotations

from collections.abc import Sequence
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
    """
    total = [0] * len(objects)
    for encoder in model.encoders.values():
        own = prepared(objects, sides, encoder.get_side_fn())
        lengths = encoder.lengths(own) if exact else map(encoder.length, own)
        total = [old + new for old, new in zip(total, lengths, strict=True)]
    return total
