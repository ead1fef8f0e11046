"""Class weights that a loss has trained: they tell the group of a new object without any labelled examples."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Classification(NamedTuple):
    """What an object was taken for.

    Attributes:
        label: Label of the nearest class.
        similarity: Similarity to that class: a cosine in [-1, 1], or a dot product where the loss compared so.
    """

    label: Any
    similarity: float


class ClassWeights(nn.Module):
    """One vector, or several, for each class, and the labels of the classes.

    Args:
        labels: Label of each class; None for one that no data had.
        weights: `[G·k, D]`, the k vectors of a class one after the other.
        cosine: Whether similarity is the cosine, else the dot product.

    Raises:
        ValueError: If the number of weights is no multiple of the number of labels.

    Example:
        >>> classes = ClassWeights(["cat", "dog"], torch.eye(2))
        >>> classes.classify(torch.tensor([[0.0, 3.0]]))
        [Classification(label='dog', similarity=1.0)]
    """

    weights: Tensor

    def __init__(self, labels: Sequence[Any], weights: Tensor, *, cosine: bool = True) -> None:
        super().__init__()
        if not len(labels) or weights.dim() != 2 or len(weights) % len(labels):
            raise ValueError(
                f"class weights must be a matrix with the same number of rows for each of the {len(labels)} labels, "
                f"got {list(weights.shape)}"
            )
        self.labels = list(labels)
        self.cosine = cosine
        self.register_buffer("weights", weights.detach().clone())

    def forward(self, embeddings: Tensor) -> Tensor:
        """Computes the similarity of embeddings to every class, that of its nearest vector where it has several.

        Args:
            embeddings: `[B, D]`.

        Returns:
            `[B, G]`; classes without a label get -inf.
        """
        weights = self.weights
        if self.cosine:
            embeddings, weights = F.normalize(embeddings, dim=1), F.normalize(weights, dim=1)
        scores = (embeddings @ weights.T).reshape(len(embeddings), len(self.labels), -1).amax(dim=2)  # [B, G]
        unused = torch.tensor([label is None for label in self.labels], device=scores.device)
        return scores.masked_fill(unused, -torch.inf)

    def classify(self, embeddings: Tensor) -> list[Classification]:
        """Finds the nearest class of each embedding.

        Args:
            embeddings: `[B, D]`.

        Returns:
            One classification for each.
        """
        similarities, classes = self(embeddings).max(dim=1)
        return [
            Classification(self.labels[one], similarity)
            for one, similarity in zip(classes.tolist(), similarities.tolist(), strict=True)
        ]
