"""Inference for models fine-tuned with Quaterion: encoders, heads, saving, encoding."""

from quaterion_models.encoders.encoder import Encoder
from quaterion_models.heads.encoder_head import EncoderHead
from quaterion_models.meta import Meta
from quaterion_models.model import MetricModel, SimilarityModel

__all__ = ["Encoder", "EncoderHead", "Meta", "MetricModel", "SimilarityModel", "__version__"]

__version__ = "1.0.0"
