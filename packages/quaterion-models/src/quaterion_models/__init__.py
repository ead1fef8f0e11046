"""Inference for models fine-tuned with Quaterion: encoders, heads, saving, encoding, search.

torch takes seconds to import and searching does without it, so the names below are looked up when they are first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from quaterion_models.encoders.encoder import Encoder
    from quaterion_models.heads.encoder_head import EncoderHead
    from quaterion_models.meta import Meta
    from quaterion_models.model import MetricModel, SimilarityModel

__all__ = ["Encoder", "EncoderHead", "Meta", "MetricModel", "SimilarityModel", "__version__"]

__version__ = "1.0.0"

_WHERE = {
    "Encoder": "quaterion_models.encoders.encoder",
    "EncoderHead": "quaterion_models.heads.encoder_head",
    "Meta": "quaterion_models.meta",
    "MetricModel": "quaterion_models.model",
    "SimilarityModel": "quaterion_models.model",
}


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_WHERE[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_WHERE})
