"""Encoders: what turns objects into vectors."""

from quaterion_models.encoders.encoder import Encoder
from quaterion_models.encoders.sentence_transformer_encoder import SentenceTransformerEncoder
from quaterion_models.encoders.switch_encoder import SwitchEncoder

__all__ = ["Encoder", "SentenceTransformerEncoder", "SwitchEncoder"]
