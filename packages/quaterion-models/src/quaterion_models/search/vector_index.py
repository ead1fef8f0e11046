"""What every index of vectors can do."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol, Self, TypeAlias

from numpy.typing import ArrayLike

Id: TypeAlias = str | int
"""Names one object of an index."""

Payload: TypeAlias = dict[str, Any]
"""What is kept with an object: a JSON object."""

Filter: TypeAlias = Mapping[str, Any]
"""Which objects are searched: see `quaterion_models.search.filters.parse_filter`."""


class Hit(NamedTuple):
    """An object that a search found.

    Attributes:
        id: Its id.
        score: Cosine of the query's vector and the object's, in [-1, 1]; 0 where one of them is all zeros.
        payload: What was added with it, a dictionary of its own for each hit.
    """

    id: Id
    score: float
    payload: dict[str, Any]


class VectorIndex(Protocol):
    """Vectors by id, searched by cosine.

    Errors leave the index as it was: of one call either all or nothing is added.
    """

    @property
    def dimension(self) -> int:
        """Numbers in a vector."""

    @property
    def about(self) -> dict[str, Any]:
        """What was said of the index when it was made, such as the fingerprint of the model; a copy."""

    def add(self, ids: Sequence[Id], vectors: ArrayLike, payloads: Sequence[Payload | None] | None = None) -> None:
        """Adds objects.

        Args:
            ids: Texts or integers of 64 bits, none of them twice and none that the index holds.
            vectors: Finite numbers `[N, dimension]`, of any length.
            payloads: For each object a JSON object or None; without it all are empty.

        Raises:
            ValueError: If an id is twice or there already, or the vectors or payloads do not fit.
            TypeError: If an id is neither text nor an integer, or a payload is no dictionary.
        """

    def search(self, vectors: ArrayLike, k: int = 10, filter: Filter | None = None) -> list[list[Hit]]:  # noqa: A002
        """Finds the objects that are most similar to each query.

        Args:
            vectors: Finite numbers `[Q, dimension]`.
            k: How many objects; of fewer all.
            filter: Which objects are searched, such as `{"lang": "en", "year": {"gte": 2000}}`.

        Returns:
            For each query its hits, the most similar first.

        Raises:
            ValueError: If the vectors, `k` or the filter do not fit; a field that no object has is named.
        """

    def delete(self, ids: Sequence[Id]) -> int:
        """Removes objects.

        Args:
            ids: Their ids; those that are not there are ignored.

        Returns:
            How many were removed.
        """

    def contains(self, ids: Sequence[Id]) -> list[bool]:
        """Tells for each id whether the index holds it."""

    def payloads(self, ids: Sequence[Id]) -> list[Payload | None]:
        """Reads what is kept with objects.

        Args:
            ids: Their ids.

        Returns:
            For each id its payload, a dictionary of its own; None where the index does not hold it.
        """

    def save(self, folder: str | os.PathLike[str], /) -> None:
        """Writes the index to a folder; killed at any time, it leaves what was saved before."""

    @classmethod
    def load(cls, folder: str | os.PathLike[str], /) -> Self:
        """Reads a saved index."""

    def __len__(self) -> int: ...
