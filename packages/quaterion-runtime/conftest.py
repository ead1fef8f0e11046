"""Gives doctests a model to load."""

from pathlib import Path
from typing import Any

import pytest


@pytest.fixture(autouse=True)
def _names_in_doctests(doctest_namespace: dict[str, Any]) -> None:
    doctest_namespace["folder"] = Path(__file__).parent / "tests" / "golden" / "format_1" / "text"
