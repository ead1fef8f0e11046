"""Where code comes from: a library, whose version says what it does, or the user's own files."""

from __future__ import annotations

import ast
import collections
import dis
import functools
import importlib.metadata
import importlib.util
import inspect
import sys
import sysconfig
import types
from collections.abc import Iterator, MutableMapping, MutableSet
from pathlib import Path
from typing import Any, NamedTuple

PLAIN = (str, bytes, bytearray, bool, int, float, complex, type(None))
"""Types whose values are their content."""

_STDLIB = Path(sysconfig.get_paths()["stdlib"])
_OURS = Path(__file__).parent
_MADE_WHILE_RUNNING = 1 << 9  # Py_TPFLAGS_HEAPTYPE: all classes but those built into the interpreter
_INSTALLED = {"site-packages", "dist-packages"}
_READS = {"LOAD_GLOBAL", "LOAD_NAME", "LOAD_FROM_DICT_OR_GLOBALS"}
_DESCRIPTORS = (types.MemberDescriptorType, types.GetSetDescriptorType)


def names_in(code: types.CodeType) -> set[str]:
    """Collects the names of globals and attributes that a function's code, and the functions inside it, use."""
    names = set(code.co_names)
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            names |= names_in(constant)
    return names


class Import(NamedTuple):
    """An import that a function runs.

    Attributes:
        module: What it imports, as written.
        level: Number of leading dots.
        names: What it takes from the module; empty for the module itself.
    """

    module: str
    level: int
    names: tuple[str, ...]


def globals_in(code: types.CodeType) -> set[str]:
    """Collects the globals that a function's code, and the functions inside it, read: not the attributes."""
    return {str(step.argval) for step in _steps(code) if step.opname in _READS}


def stored_in(code: types.CodeType) -> set[str]:
    """Collects the globals that a function's code, and the functions inside it, set."""
    return {str(step.argval) for step in _steps(code) if step.opname in {"STORE_GLOBAL", "DELETE_GLOBAL"}}


def imports_in(code: types.CodeType) -> list[Import]:
    """Collects the imports that a function's code, and the functions inside it, run."""
    found = []
    steps = list(_steps(code))
    for number, step in enumerate(steps):
        if step.opname == "IMPORT_NAME":
            level, names = steps[number - 2].argval, steps[number - 1].argval
            found.append(Import(str(step.argval), level, names or ()))
    return found


def _steps(code: types.CodeType) -> Iterator[dis.Instruction]:
    yield from (step for step in dis.get_instructions(code) if step.opname != "EXTENDED_ARG")
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _steps(constant)


def is_installed(module: str) -> bool:
    """Tells whether a module, imported or not, belongs to Python, to an installed library or to this one."""
    top = module.partition(".")[0]
    if top in sys.modules or is_library(top):
        return is_library(top)
    try:
        spec = importlib.util.find_spec(top)
    except (ImportError, ValueError):
        return False
    return spec is not None and spec.origin is not None and not _INSTALLED.isdisjoint(Path(spec.origin).parts)


def is_container(value: Any) -> bool:
    """Tells whether a value is a list, dict, set or the like, which running code fills (a counter, a registry)."""
    if isinstance(value, (list, dict, set, bytearray, collections.deque)):
        return True
    return isinstance(value, (MutableMapping, MutableSet)) and is_library_class(type(value))


def binding_of(module: str, name: str) -> str:
    """Gives the statements of a module that set a global outside of functions; empty where there is no source."""
    try:
        body = ast.parse(inspect.getsource(sys.modules[module])).body
    except (KeyError, OSError, TypeError, SyntaxError):
        return ""
    found = []
    for statement in body:
        if isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            continue
        stores = [part for part in ast.walk(statement) if isinstance(part, ast.Name) and part.id == name]
        if any(isinstance(part.ctx, ast.Store) for part in stores):
            found.append(ast.unparse(statement))
    return "\n".join(found)


def is_member(name: str, value: Any, *, has_source: bool) -> bool:
    """Tells whether something in a class's dict adds to what the source says.

    Args:
        name: Its name.
        value: The attribute.
        has_source: Whether the class's source is known.

    Returns:
        Whether it is a function, a descriptor around one, or a value with a name of the user's choice.
    """
    if isinstance(value, types.FunctionType):
        # What a decorator generates from the source (a dataclass's __init__) adds nothing.
        return not (has_source and value.__code__.co_filename.startswith("<"))
    if isinstance(value, (staticmethod, classmethod, property, functools.cached_property)):
        return True
    dunder = name.startswith("__") and name.endswith("__")
    return not dunder and name != "_abc_impl" and not isinstance(value, _DESCRIPTORS)


def module_name(name: str | None) -> str:
    """Gives a module's name as every process sees it."""
    # A process that multiprocessing started calls the main module by another name.
    return "__main__" if name == "__mp_main__" else str(name)


def is_library(module: str | None) -> bool:
    """Tells whether a module belongs to Python, to an installed library or to this one."""
    top = (module or "").partition(".")[0]
    if top in sys.stdlib_module_names or top in {"builtins", "quaterion", "quaterion_models"}:
        return True
    place = getattr(sys.modules.get(top), "__file__", None)
    return place is not None and not _INSTALLED.isdisjoint(Path(place).parts)


def is_library_class(cls: type) -> bool:
    """Tells whether a class is one that its library names; not one that was made while running."""
    if not cls.__flags__ & _MADE_WHILE_RUNNING:
        return True
    found: Any = sys.modules.get(cls.__module__)
    for part in cls.__qualname__.split("."):
        found = getattr(found, "__dict__", {}).get(part)
    return found is cls and is_library(cls.__module__)


def is_library_code(code: types.CodeType) -> bool:
    """Tells whether code was read from a file of Python, of an installed library or of this one."""
    path = Path(code.co_filename)
    if code.co_filename.startswith("<"):
        return code.co_filename.startswith("<frozen ")
    return not _INSTALLED.isdisjoint(path.parts) or path.is_relative_to(_STDLIB) or path.is_relative_to(_OURS)


def library_version(module: str) -> str:
    """Gives the version of the library that a module belongs to; empty for Python's own."""
    top = module.partition(".")[0]
    if not top or top in sys.stdlib_module_names or top == "builtins":
        return ""
    version = getattr(sys.modules.get(top), "__version__", None)
    if not isinstance(version, str):
        try:
            version = importlib.metadata.version(top)
        except importlib.metadata.PackageNotFoundError:
            version = ""
    # A build for another device ("+cpu", "+cu128") is the same library.
    return version.partition("+")[0]
