"""Vectors that were computed elsewhere, checked, and the content keys of objects."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from quaterion.cache.key_index import distinct_keys
from quaterion.cache.manifest import KEY_BYTES
from quaterion_models.content_key import content_key

__all__ = ["content_keys", "vector_table"]

Keys = NDArray[np.uint8]


def content_keys(objects: Keys | Iterable[Any]) -> Keys:
    """Content keys of objects.

    Args:
        objects: N objects, or their content keys as uint8 `[N, 16]`.

    Returns:
        uint8 `[N, 16]`.

    Raises:
        TypeError: It is one text, or an object's content cannot be read.
        ValueError: Content keys are of another length.

    Example:
        >>> content_keys(["a", "b"]).shape
        (2, 16)
    """
    if isinstance(objects, np.ndarray) and objects.dtype == np.uint8 and objects.ndim == 2:
        if objects.shape[1] != KEY_BYTES:
            raise ValueError(f"Got content keys of shape {list(objects.shape)}; expected [N, {KEY_BYTES}].")
        return objects
    if isinstance(objects, str | bytes):
        raise TypeError(f"Got {objects!r}; expected a list of objects, such as [{objects!r}].")
    return np.frombuffer(b"".join(map(content_key, objects)), dtype=np.uint8).reshape(-1, KEY_BYTES)


def vector_table(
    keys: Keys | Iterable[Any], vectors: NDArray[Any] | Tensor | Sequence[Sequence[float]], dtype: str
) -> tuple[Keys, NDArray[Any]]:
    """Brings objects and their vectors into the form of a store: one row for each content.

    Args:
        keys: N objects, or their content keys as uint8 `[N, 16]`.
        vectors: `[N, D]`.
        dtype: Precision of the result, "float32" or "float16".

    Returns:
        Distinct keys, uint8 `[M, 16]`, in the order in which they first occur, and their vectors, `[M, D]`.

    Raises:
        TypeError: An object's content cannot be read.
        ValueError: The numbers of keys and vectors differ, a vector is not finite, the vectors are no matrix, or
            one key has two different vectors.

    Example:
        >>> keys, table = vector_table(["a", "b", "a"], [[1.0], [2.0], [1.0]], "float32")
        >>> table.tolist()
        [[1.0], [2.0]]
    """
    table = np.asarray(vectors.detach().cpu().float() if isinstance(vectors, Tensor) else vectors)
    if table.ndim != 2 or table.shape[1] == 0:
        raise ValueError(f"Got vectors of shape {list(table.shape)}; expected [N, D], one row for each object.")
    table = table.astype(dtype)
    if not np.isfinite(table).all():
        row = int((~np.isfinite(table)).any(axis=1).argmax())
        raise ValueError(f"Vector {row} has NaN or infinite values in {dtype}; expected finite vectors.")
    digests = content_keys(keys)
    if len(digests) != len(table):
        raise ValueError(f"Got {len(digests)} keys and {len(table)} vectors; expected one vector for each key.")
    first, inverse = distinct_keys(digests)
    unequal = (table != table[first][inverse]).any(axis=1)
    if unequal.any():
        row = int(unequal.argmax())
        raise ValueError(
            f"Rows {int(first[inverse[row]])} and {row} have the same key and different vectors; expected one "
            "vector for each key."
        )
    return digests[first], table[first]
