"""Objects as numbers: equal content, equal number."""

from collections.abc import Hashable, Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

from quaterion_models.content_key import content_key

__all__ = ["IntArray", "content_of", "numbered"]

IntArray = npt.NDArray[np.int64]


def content_of(obj: Any) -> Hashable:
    """A value that is equal for objects of equal content.

    Args:
        obj: Any object; of what has no content key, only objects that are equal (or, where they cannot be hashed, the
            same) have equal values.

    Example:
        >>> import numpy as np
        >>> content_of(np.arange(3)) == content_of(np.arange(3))
        True
    """
    if type(obj) is str or type(obj) is np.str_:  # as good as its key, and faster
        text: str = obj
        return text
    try:
        return content_key(obj)
    except TypeError:
        return obj if isinstance(obj, Hashable) else ("object", id(obj))


def numbered(values: Iterable[Hashable]) -> IntArray:
    """Numbers of values in the order in which they first occur.

    Args:
        values: N values.

    Returns:
        `[N]`, from 0.

    Example:
        >>> numbered(["b", "a", "b"])
        array([0, 1, 0])
    """
    known: dict[Hashable, int] = {}
    return np.fromiter((known.setdefault(value, len(known)) for value in values), dtype=np.int64)
