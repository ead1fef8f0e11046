"""The default index: compares each query with every vector."""

from __future__ import annotations

from typing import final

import numpy as np
from numpy.typing import NDArray

from quaterion_models.search.nearest import Nearest, scan
from quaterion_models.search.stored_index import StoredIndex


@final
class ExactIndex(StoredIndex):
    """Finds exactly the most similar vectors by comparing a query with all of them; needs numpy only.

    A query gets the same hits alone and among others. Vectors that are equal have equal scores, and of equal scores
    the object that was added first comes first.

    Args:
        dimension: Numbers in a vector.
        about: A JSON object that is kept with the index, such as the fingerprint of the model.

    Example:
        >>> index = ExactIndex(2)
        >>> index.add(["north", "east"], [[0.0, 1.0], [2.0, 0.0]], [{"cold": True}, {"cold": False}])
        >>> index.search([[1.0, 1.5]], k=1)
        [[Hit(id='north', score=0.83..., payload={'cold': True})]]
        >>> index.search([[1.0, 1.5]], filter={"cold": False})
        [[Hit(id='east', score=0.55..., payload={'cold': False})]]
    """

    kind = "exact"

    def _find(self, queries: NDArray[np.float32], count: int, allowed: NDArray[np.bool_] | None) -> Nearest:
        return scan(self._stored, queries, count, allowed)
