"""A reader of exported folders."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def description() -> Callable[[Path], dict[str, Any]]:
    """Reads what an exported folder says of itself."""

    def read(folder: Path) -> dict[str, Any]:
        content: dict[str, Any] = json.loads((folder / "runtime.json").read_text())
        return content

    return read
