"""Embeddings of texts, with a progress bar on standard error."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from torch import Tensor

    from quaterion_models import SimilarityModel

__all__ = ["encoded_texts"]

CHUNK = 1024


def encoded_texts(
    model: "SimilarityModel", texts: Sequence[str], *, side: Literal["query", "document"] = "query"
) -> "Tensor":
    """Computes embeddings; the bar is shown in a terminal only.

    Args:
        model: The model.
        texts: The texts, one or more.
        side: Their side, for a two-sided model.

    Returns:
        `[N, D]`.
    """
    import torch

    from quaterion.cli.progress import progress_bar

    parts = []
    with progress_bar("Encoding", len(texts)) as advance:
        for chunk in model.encode_stream(texts, chunk_size=CHUNK, side=side):
            parts.append(torch.from_numpy(chunk.vectors))
            advance(len(chunk.positions))
    return torch.cat(parts)
