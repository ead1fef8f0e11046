"""Fine-tune similarity models: frozen encoders, small heads, cached embeddings.

Lightning takes seconds to import, so the names below are looked up when they are first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from quaterion.main import Quaterion
    from quaterion.train.trainable_model import TrainableModel
    from quaterion.tuning.tune import tune

__all__ = ["Quaterion", "TrainableModel", "__version__", "tune"]

__version__ = "1.0.0"

_WHERE = {
    "Quaterion": "quaterion.main",
    "TrainableModel": "quaterion.train.trainable_model",
    "tune": "quaterion.tuning.tune",
}


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_WHERE[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_WHERE})
