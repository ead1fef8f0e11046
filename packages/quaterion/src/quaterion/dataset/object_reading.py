"""How the cache of an encoder sees the objects of a data set, on whichever side they stand."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from quaterion_models.collate import prepared
from quaterion_models.content_key import content_key
from quaterion_models.heads.switch_head import DOCUMENT, QUERY
from quaterion_models.types import SideFnType

__all__ = ["KEY_BYTES", "ObjectReading", "side_of"]

KEY_BYTES = 16


class ObjectReading(NamedTuple):
    """How one encoder's cache sees an object.

    Args:
        key: Digest of an object, 16 bytes.
        length: Cost of encoding an object, used to sort (characters of a text, say).
        side_fn: Prepares an object for its side; None where the encoder treats both sides alike.
        keys_as_given: `key` is a user's own and takes objects that are not prepared, so the side is added to it.
    """

    key: Callable[[Any], bytes]
    length: Callable[[Any], int]
    side_fn: SideFnType | None = None
    keys_as_given: bool = False

    def keys(self, objects: Sequence[Any], sides: Sequence[str] | None = None) -> bytes:
        """Digests of objects, one after the other.

        Args:
            objects: B objects, as the data set has them.
            sides: `"query"` or `"document"` for each; None for queries.

        Returns:
            B · 16 bytes.

        Raises:
            ValueError: A digest has another size.
        """
        if self.side_fn is None:
            return _joined_keys(self.key, objects)
        if not self.keys_as_given:
            return _joined_keys(self.key, prepared(objects, sides, self.side_fn))
        own = zip(map(self.key, objects), sides or [QUERY] * len(objects), strict=True)
        return b"".join(map(content_key, own))

    def lengths(self, objects: Sequence[Any], sides: Sequence[str] | None = None) -> NDArray[np.int64]:
        """Costs of encoding objects, int64 `[B]`; arguments as for `keys`."""
        return np.fromiter(map(self.length, prepared(objects, sides, self.side_fn)), dtype=np.int64)


def side_of(slot: int) -> str:
    """The side on which an object of a pair stands.

    Args:
        slot: Which of the pair's objects; explicit negatives follow the two.
    """
    return QUERY if slot == 0 else DOCUMENT


def _joined_keys(key: Callable[[Any], bytes], objects: Sequence[Any]) -> bytes:
    keys = [key(obj) for obj in objects]
    for one in keys:
        if len(one) != KEY_BYTES:
            raise ValueError(
                f"{getattr(key, '__qualname__', key)} returned {len(one)} bytes ({one!r}); expected {KEY_BYTES} bytes, "
                "such as a digest of the object: see quaterion_models.content_key."
            )
    return b"".join(keys)
