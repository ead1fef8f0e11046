"""What to cache, where, and how."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from hashlib import blake2b
from pathlib import Path
from typing import Any, Literal, get_args

__all__ = ["CacheConfig", "CacheType", "FillPrecision", "KeyExtractor"]

FillPrecision = Literal["32-true", "bf16-mixed", "16-mixed"]
"""Precision in which encoders run while the cache is filled, named as Lightning names a Trainer's."""

_HEXADECIMAL = re.compile("[0-9a-f]{32,64}")

KeyExtractor = Callable[[Any], Any]
"""Takes an object, returns what identifies it: a string, bytes, a number, or a tuple of those."""


class CacheType(StrEnum):
    """Where cached vectors lie while a model trains."""

    NONE = "none"
    """Not cached: the encoder runs in every epoch."""
    AUTO = "auto"
    """On the GPU where the Trainer uses one and the vectors fit with room to spare, else in memory, else on disk."""
    CPU = "cpu"
    """In memory."""
    GPU = "gpu"
    """In the memory of the Trainer's GPU."""
    DISK = "disk"
    """In the files of `save_dir`, mapped into memory: for data larger than memory."""


@dataclass(frozen=True)
class CacheConfig:
    """Configuration of the cache, returned by `TrainableModel.configure_caches`.

    Args:
        cache_type: Placement for every frozen encoder that `mapping` does not name.
        mapping: Placement of single encoders, by encoder key.
        key_extractors: What identifies an object, one function for all encoders or a mapping by encoder key.
            By default objects are identified by their content (`Encoder.cache_key`).
        batch_size: Objects encoded at a time while the cache is filled; "auto" tries on the longest objects how many
            fit the GPU (and takes 32 on a CPU, which gains nothing from more).
        num_workers: Processes that prepare the encoders' inputs while the cache is filled; None takes the
            loader's.
        save_dir: Folder where vectors are kept between runs; None keeps them in memory only.
        dtype: Precision in which vectors are stored.
        precision: Precision in which the encoders run while the cache is filled: "32-true" as they are, or autocast
            to "bf16-mixed" or "16-mixed". Vectors of another precision are other vectors, kept apart.
        views: How many versions of each object to cache, where the data set transforms objects at random. Each version
            has its own fixed seed; training draws one of them in every step.
        max_objects: How many objects of an iterable data set without a length to take; such a set may never end, so
            without this number reading it stops with an error after a million objects.
        states_dtype: Precision in which token states are stored, those of encoders with `trainable_layers`.

    Raises:
        TypeError: An argument has the wrong type.
        ValueError: An unknown cache type or dtype, a number that is too small, or an empty `save_dir`.

    Example:
        >>> CacheConfig(CacheType.CPU, save_dir="vectors").save_dir
        'vectors'
    """

    cache_type: CacheType = CacheType.AUTO
    mapping: Mapping[str, CacheType] = field(default_factory=dict)
    key_extractors: KeyExtractor | Mapping[str, KeyExtractor] = field(default_factory=dict)
    batch_size: int | Literal["auto"] = 32
    num_workers: int | None = None
    save_dir: str | Path | None = None
    dtype: Literal["float32", "float16"] = "float32"
    precision: FillPrecision = "32-true"
    views: int = 1
    max_objects: int | None = None
    states_dtype: Literal["float32", "float16"] = "float16"

    def __post_init__(self) -> None:
        object.__setattr__(self, "cache_type", _cache_type(self.cache_type))
        if not isinstance(self.mapping, Mapping):
            raise TypeError(
                f"CacheConfig got mapping={self.mapping!r}; expected a dictionary of cache types by encoder key."
            )
        object.__setattr__(self, "mapping", {key: _cache_type(value) for key, value in self.mapping.items()})
        if self.batch_size != "auto":
            _check_count("batch_size", self.batch_size, "an int of at least 1, or 'auto'")
        _check_count("views", self.views, "an int of at least 1")
        if self.max_objects is not None:
            _check_count("max_objects", self.max_objects, "an int of at least 1, or None")
        if self.num_workers is not None and (not isinstance(self.num_workers, int) or self.num_workers < 0):
            raise ValueError(
                f"CacheConfig got num_workers={self.num_workers!r}; expected an int of 0 or more, or None."
            )
        if self.save_dir is not None and not isinstance(self.save_dir, str | Path):
            raise TypeError(f"CacheConfig got save_dir={self.save_dir!r}; expected a folder, or None.")
        if self.save_dir == "":
            raise ValueError(
                "CacheConfig got save_dir=''; expected a folder ('.' for the working directory), or None to keep "
                "vectors in memory only."
            )
        for name in ("dtype", "states_dtype"):
            if (value := getattr(self, name)) not in {"float32", "float16"}:
                raise ValueError(f"CacheConfig got {name}={value!r}; expected 'float32' or 'float16'.")
        if self.precision not in get_args(FillPrecision):
            allowed = ", ".join(map(repr, get_args(FillPrecision)))
            raise ValueError(f"CacheConfig got precision={self.precision!r}; expected one of {allowed}.")
        extractors = self.key_extractors
        by_key = isinstance(extractors, Mapping) and all(map(callable, extractors.values()))
        if not by_key and not callable(extractors):
            raise TypeError(
                f"CacheConfig got key_extractors={extractors!r}; expected a function of an object, "
                "or a dictionary of such functions by encoder key."
            )

    def placement(self, encoder: str) -> CacheType:
        """Placement of one encoder's vectors."""
        return self.mapping.get(encoder, self.cache_type)

    def store_folder(self, fingerprint: str, *, tokens: bool = False) -> Path | None:
        """Where the store of an encoder lies.

        Args:
            fingerprint: The encoder's fingerprint. One that is not made of hexadecimal digits (a version of the user's
                own, say) is digested, so that it can be any text.
            tokens: Whether it holds token states, not vectors.

        Returns:
            A folder below `save_dir`, None without one.
        """
        if self.save_dir is None:
            return None
        if not _HEXADECIMAL.fullmatch(fingerprint):
            fingerprint = blake2b(fingerprint.encode(), digest_size=16).hexdigest()
        return Path(self.save_dir).absolute() / f"{fingerprint[:32]}-{self.states_dtype if tokens else self.dtype}"

    def key_extractor(self, encoder: str) -> KeyExtractor | None:
        """The function that identifies objects for one encoder, None for their content."""
        if callable(self.key_extractors):
            return self.key_extractors
        return self.key_extractors.get(encoder)


def _check_count(name: str, value: Any, expected: str) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ValueError(f"CacheConfig got {name}={value!r}; expected {expected}.")


def _cache_type(value: CacheType | str) -> CacheType:
    try:
        return CacheType(value)
    except ValueError:
        allowed = ", ".join(repr(one.value) for one in CacheType)
        raise ValueError(f"CacheConfig got the cache type {value!r}; expected one of {allowed}.") from None
