"""The public names of all distributions are those of the committed lists, so that a change of them shows in review."""

import difflib
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[3]

IMPORT = r"^ *from (quaterion[\w.]*) import (\([^)]*\)|[^\n#]*)"

SAMPLE = '''
"""A distribution with each kind of name."""

import enum
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, NamedTuple

__all__ = ["Colour", "Mode", "Painter", "Point", "Settings", "Shape", "paint"]

Mode = Literal["wet", "dry"]
_NOTHING = object()


class Colour(enum.Enum):
    RED = "red"


class Point(NamedTuple):
    x: int
    y: int = 0


@dataclass(frozen=True)
class Settings:
    layers: int = 1
    names: list[str] = field(default_factory=list)

    def total(self) -> int:
        return self.layers


class _Base:
    def shared(self, to: Path) -> None: ...

    def _hidden(self) -> None: ...


class Shape(_Base):
    name = "shape"

    def __new__(cls, *args, **kwargs):
        return super().__new__(cls)

    def __init__(
        self, size: float, *, colour: Colour = Colour.RED, of: Callable = len, other: object = _NOTHING
    ) -> None: ...

    @property
    def area(self) -> float: ...

    @classmethod
    def load(cls, path: str, /) -> "Shape": ...

    @staticmethod
    def unit(scale: int = 1) -> "Shape": ...


class Painter(Shape):
    def shared(self, to: Path, *, again: bool = False) -> None: ...


def paint(shape: Shape, *shapes: Shape, mode: Mode = "wet") -> None: ...
'''


@pytest.fixture
def public_api(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """The script that lists public names."""
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    import public_api

    yield public_api
    del sys.modules["public_api"]


@pytest.mark.parametrize("distribution", ["quaterion", "quaterion-models", "quaterion-runtime"])
def test_public_names_and_parameters_are_the_committed_ones(public_api: ModuleType, distribution: str) -> None:
    listed = (ROOT / "packages" / distribution / "api.txt").read_text(encoding="utf-8").splitlines()
    assert listed == sorted(listed)
    difference = difflib.unified_diff(listed, public_api.public_api(distribution), "api.txt", "code", lineterm="", n=0)
    text = "\n".join(difference)
    assert not text, f"{text}\nIf the public names of {distribution} are meant to change: make api"


def test_each_kind_of_name_is_listed_with_what_it_takes(
    public_api: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "sample_distribution"
    (package / "inner").mkdir(parents=True)
    (package / "__init__.py").write_text(SAMPLE)
    (package / "inner" / "__init__.py").write_text("from sample_distribution import Shape\n__all__ = ['Shape']\n")
    (package / "private.py").write_text("__all__ = ['unlisted']\ndef unlisted(): ...\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setitem(public_api.MODULES, "sample-distribution", ())
    monkeypatch.setattr(public_api, "PACKAGES", {"sample_distribution"})
    assert public_api.public_api("sample-distribution") == [
        "sample_distribution.Colour",
        "sample_distribution.Colour.RED",
        "sample_distribution.Mode = Literal['wet', 'dry']",
        "sample_distribution.Painter(size, *, colour=Colour.RED, of=len, other=...)",
        "sample_distribution.Painter.shared(self, to, *, again=False)",
        "sample_distribution.Point(x, y=0)",
        "sample_distribution.Settings(layers=1, names=...)",
        "sample_distribution.Settings.total(self)",
        "sample_distribution.Shape(size, *, colour=Colour.RED, of=len, other=...)",
        "sample_distribution.Shape.area",
        "sample_distribution.Shape.load(path, /)",
        "sample_distribution.Shape.name",
        "sample_distribution.Shape.shared(self, to)",
        "sample_distribution.Shape.unit(scale=1)",
        "sample_distribution.inner.Shape = sample_distribution.Shape",
        "sample_distribution.paint(shape, *shapes, mode='wet')",
    ]


def listed_names() -> set[str]:
    return {
        re.split(r"\(| = ", line)[0]
        for path in ROOT.glob("packages/*/api.txt")
        for line in path.read_text(encoding="utf-8").splitlines()
    }


def test_all_that_pages_name_is_public() -> None:
    public = {".".join(name.split(".")[:end]) for name in listed_names() for end in range(1, name.count(".") + 2)}
    pages = [*ROOT.glob("packages/*/README.md"), *ROOT.glob("docs/**/*.md"), ROOT / "README.md"]
    named = {
        (page.relative_to(ROOT).as_posix(), name)
        for page in pages
        if page.name != "migration.md"  # of older paths
        for name in re.findall(r"`(quaterion(?:_models|_runtime)?(?:\.\w+)+)", page.read_text(encoding="utf-8"))
    }
    assert len(named) > 10
    assert not [(page, name) for page, name in sorted(named) if name not in public]


def test_all_that_pages_and_examples_import_is_public() -> None:
    listed = listed_names()
    pages = [
        *ROOT.glob("*.md"),
        *ROOT.glob("packages/*/README.md"),
        *ROOT.glob("docs/**/*.md"),
        *ROOT.glob("examples/*.py"),
    ]
    imported = {
        (page.relative_to(ROOT).as_posix(), f"{module}.{name}")
        for page in pages
        for module, names in re.findall(IMPORT, page.read_text(encoding="utf-8"), flags=re.MULTILINE)
        for name in re.findall(r"\w+", names)
    }
    assert len(imported) > 50
    assert not [(page, name) for page, name in sorted(imported) if name not in listed]
