"""Anchors and the candidates they are compared with: a batch with itself, or with reference embeddings."""

from typing import NamedTuple

from torch import Tensor

from quaterion.functional.masks import GroupMasks, group_masks
from quaterion.functional.similarity import prepare, prepared_distance_matrix, prepared_similarity_matrix

__all__ = ["Comparison", "compare"]


class Comparison(NamedTuple):
    """Who is compared with whom, ready for row blocks.

    Attributes:
        anchors: `[n, D]` from `quaterion.functional.similarity.prepare`.
        candidates: `[m, D]` from `prepare`.
        groups: `[n]` groups of the anchors.
        candidate_groups: `[m]` groups of the candidates.
        metric: One of `quaterion.functional.similarity.METRICS`.
        within: Whether the candidates are the anchors themselves, so that each is no pair with itself.
    """

    anchors: Tensor
    candidates: Tensor
    groups: Tensor
    candidate_groups: Tensor
    metric: str
    within: bool

    @property
    def shape(self) -> tuple[int, int]:
        """Numbers of anchors and candidates."""
        return self.anchors.shape[0], self.candidates.shape[0]

    @property
    def empty(self) -> bool:
        """Whether there is nothing to compare."""
        return 0 in self.shape

    def masks(self, start: int, stop: int) -> GroupMasks:
        """Return positives and negatives of the anchors `start … stop − 1`, `[stop − start, m]` each."""
        first = start if self.within else None
        return group_masks(self.groups[start:stop], self.candidate_groups, first=first)

    def distances(self, start: int, stop: int) -> Tensor:
        """Return the distances of the anchors `start … stop − 1` to all candidates."""
        return prepared_distance_matrix(self.anchors[start:stop], self.candidates, self.metric)

    def similarities(self, start: int, stop: int) -> Tensor:
        """Return the similarities of the anchors `start … stop − 1` to all candidates."""
        return prepared_similarity_matrix(self.anchors[start:stop], self.candidates, self.metric)


def compare(
    embeddings: Tensor,
    groups: Tensor,
    reference: Tensor | None = None,
    reference_groups: Tensor | None = None,
    *,
    metric: str = "cosine",
) -> Comparison:
    """Prepare a batch for comparison with itself or with reference embeddings.

    Args:
        embeddings: `[B, D]`.
        groups: `[B]`.
        reference: `[M, D]` candidates instead of the batch itself.
        reference_groups: `[M]` groups of the candidates.
        metric: One of `quaterion.functional.similarity.METRICS`.

    Returns:
        The comparison.

    Raises:
        ValueError: If the reference comes without its groups, or the groups without it.
    """
    anchors = prepare(embeddings, metric)
    if reference is None and reference_groups is None:
        return Comparison(anchors, anchors, groups, groups, metric, within=True)
    if reference is None or reference_groups is None:
        missing = "reference" if reference is None else "reference_groups"
        raise ValueError(f"{missing} is missing: reference and reference_groups go together, pass both or neither")
    return Comparison(
        anchors, prepare(reference, metric), groups, reference_groups.to(groups.dtype), metric, within=False
    )
