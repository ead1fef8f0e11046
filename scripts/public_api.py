"""The public names of each distribution, with what they take: `packages/*/api.txt`, one name a line.

    python scripts/public_api.py            # fails where the lists are not those of the code
    python scripts/public_api.py --update   # writes them

Public is what a package exports (`__all__` of its `__init__.py`), and what the modules of `MODULES` define, whose own
paths programs use. A name that several paths lead to is described at the shortest one.
"""

import argparse
import difflib
import enum
import importlib
import inspect
import pkgutil
import sys
from collections.abc import Iterator
from pathlib import Path
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType
from typing import Any, Literal, get_args, get_origin

ROOT = Path(__file__).resolve().parents[1]

# Distributions, and modules of theirs that are public beside their packages.
MODULES = {
    "quaterion": (
        "quaterion.distances",
        "quaterion.eval.confidence",
        "quaterion.main",
    ),
    "quaterion-models": (
        "quaterion_models.content_key",
        "quaterion_models.encoders.extras.fasttext_encoder",
        "quaterion_models.encoders.pretrained_encoder",
        "quaterion_models.export.inputs",
        "quaterion_models.meta",
        "quaterion_models.model",
        "quaterion_models.saving.convert",
        "quaterion_models.saving.model_card",
        "quaterion_models.types",
    ),
    "quaterion-runtime": (),
}
PACKAGES = {name.replace("-", "_") for name in MODULES}


def public_api(distribution: str) -> list[str]:
    """Lists the public names of a distribution that is installed.

    Args:
        distribution: Its name, such as `quaterion-models`.

    Returns:
        Sorted lines: `path`; `path(parameters)` of what is called; `path = path` for a second path of a name.
    """
    package = importlib.import_module(distribution.replace("-", "_"))
    below = pkgutil.walk_packages(package.__path__, f"{package.__name__}.")
    names = [package.__name__, *(module.name for module in below if module.ispkg), *MODULES[distribution]]
    modules = [importlib.import_module(name) for name in names]
    exported = {f"{module.__name__}.{name}": getattr(module, name) for module in modules for name in _exported(module)}

    homes: dict[int, str] = {}  # by identity
    own = {path: value for path, value in exported.items() if isinstance(value, type | FunctionType)}
    for path in sorted(own, key=lambda path: (not path.endswith(f".{own[path].__name__}"), path.count("."), path)):
        homes.setdefault(id(own[path]), path)
    lines = []
    for path, value in exported.items():
        if homes.get(id(value), path) != path:
            lines.append(f"{path} = {homes[id(value)]}")
        elif isinstance(value, type):
            lines += [f"{path}{_constructor(value)}", *(f"{path}.{member}" for member in _members(value, homes))]
        elif get_origin(value) is Literal:
            lines.append(f"{path} = Literal{list(get_args(value))}")
        else:
            lines.append(path + _parameters(value))
    return sorted(lines)


def _exported(module: ModuleType) -> list[str]:
    """Names in a module's `__all__`; of a module without one, the public ones that it defines itself."""
    if hasattr(module, "__all__"):
        return list(module.__all__)
    named = {name: value for name, value in vars(module).items() if not name.startswith("_")}
    return [name for name, value in named.items() if getattr(value, "__module__", None) == module.__name__]


def _is_ours(cls: type) -> bool:
    return cls.__module__.partition(".")[0] in PACKAGES


def _constructor(cls: type) -> str:
    """What a class takes; nothing where another library says so, or where nobody constructs it."""
    if issubclass(cls, enum.Enum) or getattr(cls, "_is_protocol", False):
        return ""
    for method in ("__init__", "__new__"):
        owner = next(base for base in cls.__mro__ if method in vars(base))
        if owner is not object:
            return _parameters(getattr(owner, method), without_first=True) if _is_ours(owner) else ""
    return ""


def _members(cls: type, homes: dict[int, str]) -> Iterator[str]:
    """Public members that a class has of its own or from a base that is not public; fields are in its constructor."""
    fields = {*getattr(cls, "__dataclass_fields__", ()), *getattr(cls, "_fields", ())}
    seen = set(fields)
    for base in cls.__mro__:
        if not _is_ours(base) or (base is not cls and id(base) in homes):
            continue
        for name, member in vars(base).items():
            if not name.startswith("_") and name not in seen:
                seen.add(name)
                yield name + _parameters(getattr(cls, name) if isinstance(member, classmethod) else member)


def _parameters(value: Any, *, without_first: bool = False) -> str:
    """The parameters of what is called, without types, which other versions of Python write in other ways."""
    if isinstance(value, staticmethod):
        value = value.__func__
    if not isinstance(value, FunctionType | MethodType):
        return ""
    signature = inspect.signature(value)
    parameters = [
        one.replace(annotation=one.empty, default=one.default if one.default is one.empty else _Shown(one.default))
        for one in list(signature.parameters.values())[without_first:]
    ]
    return str(signature.replace(parameters=parameters, return_annotation=signature.empty))


class _Shown:
    """A default as it is written in the list: the same text in every process and version of Python."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def __repr__(self) -> str:
        if isinstance(self.value, enum.Enum):
            return f"{type(self.value).__name__}.{self.value.name}"
        if isinstance(self.value, type | FunctionType | BuiltinFunctionType):
            return self.value.__name__
        plain = isinstance(self.value, bool | int | float | str | tuple | frozenset | None)
        return repr(self.value) if plain else "..."


def main() -> None:
    """Runs the command line."""
    parser = argparse.ArgumentParser(description="The public names of each distribution.")
    parser.add_argument("--update", action="store_true", help="write the lists")
    update = parser.parse_args().update
    for distribution in MODULES:
        lines, path = public_api(distribution), ROOT / "packages" / distribution / "api.txt"
        if update:
            path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        listed = path.read_text(encoding="utf-8").splitlines()
        if listed != lines:
            difference = difflib.unified_diff(listed, lines, str(path.relative_to(ROOT)), "the code", lineterm="", n=0)
            sys.exit("\n".join([*difference, "If the public names are meant to change: make api"]))


if __name__ == "__main__":
    main()
