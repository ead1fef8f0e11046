"""The pairs of a set, their scores, and how similar their objects are."""

import torch
from torch import Tensor

from quaterion.distances import Distance
from quaterion.eval.checked_tensors import checked_pairs
from quaterion.functional.rounded_similarity import rounded_similarity

__all__ = ["ScoredPairs"]


class ScoredPairs:
    """The pairs of a set and their scores; nothing is compared but the two objects of each pair.

    Args:
        embeddings: `[N, D]`.
        labels: Scores of the pairs `[P]`; empty for 1 each.
        pairs: Rows of the two objects of each pair, `[P, 2]`.

    Attributes:
        scores: float32 `[P]`.

    Raises:
        UnscorableSetError: There is no pair.
        ValueError: Shapes do not fit, or an embedding or a score is not finite.

    Example:
        >>> embeddings = torch.tensor([[1.0, 0.0], [3.0, 4.0], [0.0, 2.0]])
        >>> pairs = ScoredPairs(embeddings, torch.tensor([1.0, 0.0]), torch.tensor([[0, 1], [0, 2]]))
        >>> pairs.similarities(Distance.COSINE)
        tensor([0.6000, 0.0000], dtype=torch.float64)
    """

    def __init__(self, embeddings: Tensor, labels: Tensor, pairs: Tensor) -> None:
        self._embeddings, self.scores, self._pairs = checked_pairs(embeddings, labels, pairs)

    @torch.no_grad()
    def similarities(self, distance: Distance) -> Tensor:
        """Similarity of the two objects of each pair.

        Args:
            distance: How embeddings are compared.

        Returns:
            float64 `[P]`; equal for pairs of equal objects, as `quaterion.functional.rounded_similarity` rounds them.
        """
        first, second = self._pairs.unbind(dim=1)
        return rounded_similarity(self._embeddings[first], self._embeddings[second], distance)
