"""Vectors of frozen encoders, kept by content, and the batches drawn from them."""

from quaterion.cache.batches import CachedBatches
from quaterion.cache.config import CacheConfig, CacheType
from quaterion.cache.embedding_store import EmbeddingStore

__all__ = ["CacheConfig", "CacheType", "CachedBatches", "EmbeddingStore"]
