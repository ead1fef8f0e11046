"""Gives doctests a model to load."""

from pathlib import Path
from typing import Any

import pytest


def pytest_configure(config: pytest.Config) -> None:
    """Makes the mark known where the settings at the repository's root are not read."""
    config.addinivalue_line("markers", "slow: takes more than a few seconds")


@pytest.fixture(autouse=True)
def _names_in_doctests(doctest_namespace: dict[str, Any]) -> None:
    doctest_namespace["folder"] = Path(__file__).parent / "tests" / "golden" / "format_1" / "text"
