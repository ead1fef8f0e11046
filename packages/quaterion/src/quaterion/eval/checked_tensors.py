"""Embeddings and pairs as users pass them, known to be what a metric can compute with."""

import torch
from torch import Tensor

from quaterion.eval.base_metric import UnscorableSetError

__all__ = ["checked_embeddings", "checked_pairs"]


def checked_embeddings(embeddings: Tensor) -> Tensor:
    """Embeddings without their gradient, known to be finite.

    Args:
        embeddings: `[N, D]`.

    Raises:
        UnscorableSetError: There is none.
        ValueError: The shape is another, or an embedding is not finite.
    """
    if embeddings.ndim != 2:
        raise ValueError(f"embeddings has the shape {tuple(embeddings.shape)}; expected a row for each object, [N, D].")
    if not len(embeddings):
        raise UnscorableSetError("There are no embeddings. Expected at least two objects: is the data set empty?")
    embeddings = embeddings.detach()
    wrong = (~embeddings.isfinite().all(dim=1)).nonzero().squeeze(1)
    if len(wrong):
        raise ValueError(
            f"The embeddings of {len(wrong)} of {len(embeddings)} objects hold NaN or infinity, the first in row "
            f"{int(wrong[0])}. Expected finite numbers: look at that object and at what the encoder makes of it "
            "(half precision overflows above 65,504)."
        )
    return embeddings


def checked_pairs(embeddings: Tensor, labels: Tensor, pairs: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Pairs that are known to fit their embeddings.

    Args:
        embeddings: `[N, D]`.
        labels: Scores of the pairs `[P]`; empty for 1 each.
        pairs: Rows of the two objects of each pair, `[P, 2]`.

    Returns:
        Embeddings without their gradient `[N, D]`, scores `[P]` and pairs int64 `[P, 2]`, all on one device.

    Raises:
        UnscorableSetError: There is no pair.
        ValueError: Shapes do not fit, or an embedding or a score is not finite.
    """
    embeddings = checked_embeddings(embeddings)
    count, device = len(embeddings), embeddings.device
    if pairs.ndim != 2 or pairs.shape[1] != 2 or pairs.is_floating_point():
        raise ValueError(
            f"pairs has the shape {tuple(pairs.shape)} and the type {pairs.dtype}; expected the two rows of each pair "
            "as integers, [P, 2]."
        )
    if not len(pairs):
        raise UnscorableSetError("There are no pairs. Expected at least one: is the data set empty?")
    pairs = pairs.to(device, torch.int64)
    if int(pairs.min()) < 0 or int(pairs.max()) >= count:
        raise ValueError(
            f"pairs holds rows {int(pairs.min())} to {int(pairs.max())}, but there are {count} embeddings. "
            f"Expected rows in 0..{count - 1}."
        )
    if labels.numel() not in (0, len(pairs)):
        raise ValueError(f"There are {labels.numel()} labels for {len(pairs)} pairs; expected one score for each.")
    scores = labels.detach().to(device).flatten() if labels.numel() else torch.ones(len(pairs), device=device)
    if bool((~scores.isfinite()).any()):
        what = "NaN" if bool(scores.isnan().any()) else "infinity"
        raise ValueError(f"labels holds {what}; expected a score in [0, 1] for each pair: drop the pair or score it.")
    return embeddings, scores, pairs
