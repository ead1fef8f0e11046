"""The tiny models of the encoders' tests, and a reader of exported folders."""

import importlib.util
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

_SPEC = importlib.util.spec_from_file_location("encoder_models", Path(__file__).parents[1] / "encoders" / "conftest.py")
assert _SPEC is not None and _SPEC.loader is not None
_models = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(_models)
tiny_model, tiny_vision, tiny_clip = _models.tiny_model, _models.tiny_vision, _models.tiny_clip


@pytest.fixture
def description() -> Callable[[Path], dict[str, Any]]:
    """Reads what an exported folder says of itself."""

    def read(folder: Path) -> dict[str, Any]:
        content: dict[str, Any] = json.loads((folder / "runtime.json").read_text())
        return content

    return read
