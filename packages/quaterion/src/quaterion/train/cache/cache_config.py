"""The public path of the cache's configuration."""

from quaterion.cache.config import CacheConfig, CacheType

__all__ = ["CacheConfig", "CacheType"]
