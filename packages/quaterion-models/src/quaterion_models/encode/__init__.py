"""Encoding many objects with a model."""

from quaterion_models.encode.corpus import EncodedChunk, encode, encode_stream
from quaterion_models.encode.eval_mode import eval_mode
from quaterion_models.encode.lengths import counted
from quaterion_models.encode.objects import as_objects
from quaterion_models.encode.portion import EncodeOptions
from quaterion_models.encode.readable import OnError, Skipped
from quaterion_models.encode.workers import Device

__all__ = [
    "Device",
    "EncodeOptions",
    "EncodedChunk",
    "OnError",
    "Skipped",
    "as_objects",
    "counted",
    "encode",
    "encode_stream",
    "eval_mode",
]
