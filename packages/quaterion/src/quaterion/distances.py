"""The distances that losses and metrics can compare embeddings with."""

from dataclasses import dataclass
from enum import StrEnum

from torch import Tensor

from quaterion.functional import similarity as functional

__all__ = ["Distance", "DistanceMetric"]


@dataclass(frozen=True, slots=True)
class DistanceMetric:
    """Distance and similarity of one kind, for pairs of rows and as a matrix.

    Larger similarity is closer, smaller distance is closer. See `quaterion.functional.similarity` for the
    definitions.

    Attributes:
        name: One of `quaterion.functional.similarity.METRICS`.
    """

    name: str

    def distance(self, x: Tensor, y: Tensor) -> Tensor:
        """Compute the distance of each row of `x` `[n, D]` to the same row of `y` `[n, D]`; `[n]`."""
        return functional.distance(x, y, self.name)

    def similarity(self, x: Tensor, y: Tensor) -> Tensor:
        """Compute the similarity of each row of `x` `[n, D]` to the same row of `y` `[n, D]`; `[n]`."""
        return functional.similarity(x, y, self.name)

    def distance_matrix(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """Compute the distances of all rows of `x` to all rows of `y`, or of `x` itself; `[n, m]`."""
        return functional.distance_matrix(x, y, self.name)

    def similarity_matrix(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """Compute the similarities of all rows of `x` to all rows of `y`, or of `x` itself; `[n, m]`."""
        return functional.similarity_matrix(x, y, self.name)


class Distance(StrEnum):
    """Names of the distances; a name is also its own string.

    Example:
        >>> Distance("cosine") is Distance.COSINE
        True
        >>> import torch
        >>> Distance.get_by_name("manhattan").distance(torch.tensor([[1.0, 2.0]]), torch.tensor([[0.0, 0.0]]))
        tensor([3.])
    """

    EUCLIDEAN = "euclidean"
    COSINE = "cosine"
    DOT_PRODUCT = "dot_product"
    MANHATTAN = "manhattan"

    @classmethod
    def _missing_(cls, value: object) -> "Distance":
        allowed = ", ".join(repr(member.value) for member in cls)
        raise ValueError(f"unknown distance {value!r}: expected one of {allowed}")

    @staticmethod
    def get_by_name(name: "str | Distance") -> DistanceMetric:
        """Return the distance with that name.

        Args:
            name: A member of `Distance` or its value.

        Returns:
            An object with `distance`, `similarity`, `distance_matrix` and `similarity_matrix`.

        Raises:
            ValueError: If the name is unknown; the message lists the known ones.
        """
        return DistanceMetric(Distance(name).value)
