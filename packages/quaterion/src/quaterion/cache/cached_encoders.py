"""Which encoders of a model a configuration caches, and how it sees their objects."""

from typing import Any

from quaterion.cache.config import CacheConfig, CacheType, KeyExtractor
from quaterion.dataset.object_reading import ObjectReading
from quaterion_models import SimilarityModel
from quaterion_models.content_key import content_key
from quaterion_models.encoders import Encoder

__all__ = ["cached_encoders", "object_reading"]


def cached_encoders(model: SimilarityModel, config: CacheConfig) -> dict[str, Encoder]:
    """The encoders that a configuration caches.

    Args:
        model: The model.
        config: The configuration.

    Returns:
        Encoders by key, in the model's order: those that are frozen, and those with a frozen trunk.

    Raises:
        ValueError: The configuration names an unknown or a trainable encoder, or there is no frozen one.
    """
    encoders = model.encoders
    named = set(config.mapping) | (set() if callable(config.key_extractors) else set(config.key_extractors))
    unknown = sorted(named - set(encoders))
    if unknown:
        raise ValueError(f"CacheConfig names the encoders {unknown}; the model has {list(encoders)}.")
    for key, placement in config.mapping.items():
        if placement is not CacheType.NONE and _changes(encoders[key]):
            raise ValueError(
                f"CacheConfig caches the encoder {key!r}, which is trainable, so its vectors change in every step. "
                "Make it frozen (trainable = False), train its top layers only (trainable_layers=N), or take it out of "
                "the mapping."
            )
    cached = {
        key: encoder
        for key, encoder in encoders.items()
        if not _changes(encoder) and config.placement(key) is not CacheType.NONE
    }
    if not cached and config.cache_type is not CacheType.NONE:
        raise ValueError(
            f"configure_caches asks for a cache, but every encoder is trainable ({list(encoders)}), so their vectors "
            "change in every step. Freeze one (trainable = False), or its lower layers (trainable_layers=N), or return "
            "None from configure_caches."
        )
    return cached


def _changes(encoder: Encoder) -> bool:
    """Whether training changes all that could be cached of an encoder."""
    return encoder.trainable and encoder.get_trunk() is None


def object_reading(encoder: Encoder, extractor: KeyExtractor | None) -> ObjectReading:
    """How the cache sees an encoder's objects.

    Args:
        encoder: A cached encoder.
        extractor: The user's function that identifies objects; None for their content.
    """
    side_fn = encoder.get_side_fn()
    if extractor is None:
        return ObjectReading(encoder.cache_key, encoder.length, side_fn)
    return ObjectReading(_ExtractedKey(extractor), encoder.length, side_fn, keys_as_given=True)


class _ExtractedKey:
    """The digest of what a user's function says identifies an object; picklable for workers."""

    def __init__(self, extractor: KeyExtractor) -> None:
        self._extractor = extractor

    def __call__(self, obj: Any) -> bytes:
        return content_key(self._extractor(obj))
