import importlib.util
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[4]


@pytest.fixture(scope="session")
def load_example() -> Callable[[str], ModuleType]:
    """Loads a program of examples/ by its name."""

    def load(name: str) -> ModuleType:
        spec = importlib.util.spec_from_file_location(name, ROOT / "examples" / f"{name}.py")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    return load


@pytest.fixture(scope="module")
def program(request: pytest.FixtureRequest, load_example: Callable[[str], ModuleType]) -> ModuleType:
    """The program that a test file is about: test_matching.py is about examples/matching.py."""
    return load_example(request.path.stem.removeprefix("test_"))
