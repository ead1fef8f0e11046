"""Vectors of frozen encoders, kept by content, and the batches drawn from them."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from quaterion.cache.batches import CachedBatches
    from quaterion.cache.config import CacheConfig, CacheType
    from quaterion.cache.embedding_store import EmbeddingStore

__all__ = ["CacheConfig", "CacheType", "CachedBatches", "EmbeddingStore"]

_WHERE = {
    "CacheConfig": "quaterion.cache.config",
    "CacheType": "quaterion.cache.config",
    "CachedBatches": "quaterion.cache.batches",
    "EmbeddingStore": "quaterion.cache.embedding_store",
}


def __getattr__(name: str) -> Any:
    """Imports a public name when it is first used: the command line manages caches without torch."""
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_WHERE[name]), name)
