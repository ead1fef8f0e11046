"""Encoders: what turns objects into vectors."""

from quaterion_models.encoders.callable_encoder import CallableEncoder
from quaterion_models.encoders.clip_encoder import ClipEncoder
from quaterion_models.encoders.clip_towers import ClipImageEncoder, ClipTextEncoder
from quaterion_models.encoders.encoder import Encoder
from quaterion_models.encoders.field_encoder import FieldEncoder
from quaterion_models.encoders.image_encoder import ImageEncoder
from quaterion_models.encoders.sentence_transformer_encoder import SentenceTransformerEncoder
from quaterion_models.encoders.switch_encoder import SwitchEncoder
from quaterion_models.encoders.timm_encoder import TimmEncoder
from quaterion_models.encoders.transformers_encoder import TransformersEncoder
from quaterion_models.encoders.vector_encoder import VectorEncoder

__all__ = [
    "CallableEncoder",
    "ClipEncoder",
    "ClipImageEncoder",
    "ClipTextEncoder",
    "Encoder",
    "FieldEncoder",
    "ImageEncoder",
    "SentenceTransformerEncoder",
    "SwitchEncoder",
    "TimmEncoder",
    "TransformersEncoder",
    "VectorEncoder",
]
