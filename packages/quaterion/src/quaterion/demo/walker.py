"""Walk the standard library and print what it documents, one JSON list a line.

Runs as a script in an interpreter of its own (``python -I -S walker.py [module to skip ...]``) and imports nothing
but the standard library. So no import can print, warn, exit or crash in the caller's process, and packages that patch
the standard library when Python starts (setuptools replaces ``distutils``) do not change what is found.

Lines: ``["module", name]`` before each import, ``["entry", name, kind, signature, documentation]``, and ``["end"]``.
"""

import contextlib
import faulthandler
import importlib
import importlib.util
import inspect
import io
import json
import os
import pkgutil
import re
import sys
import types
import warnings
from collections.abc import Iterator

# ruff: noqa: SIM905 - lists of names read better as text

# Modules that open a window or a browser, take over the terminal, print, or are not for use by programs.
NOISY = frozenset(
    "antigravity this __main__ idlelib turtledemo test tests tkinter turtle curses lib2to3 pydoc_data ensurepip".split()
)
# Modules that later Pythons removed, and those whose functions everybody calls through os and os.path.
OUTDATED = frozenset(
    "aifc asynchat asyncore audioop cgi cgitb chunk crypt distutils imghdr imp mailcap msilib nis nntplib "
    "ossaudiodev pipes smtpd sndhdr spwd sunau telnetlib uu xdrlib "
    "genericpath nt ntpath nturl2path posix posixpath".split()
)
SHORTEST, LONGEST = 25, 400  # characters of a first paragraph that says something and says it briefly
SECONDS_PER_MODULE = 20
_PLAIN_DEFAULTS = (type(None), bool, int, float, str, bytes)

Record = tuple[str, str, str, str]
"""Qualified name, kind ("function", "class" or "method"), signature, first paragraph of the documentation."""


class _Elided:
    """A default value that is too long, or differs between machines and runs (an address, a path, a set)."""

    def __repr__(self) -> str:
        return "..."


def module_names() -> list[str]:
    """List the public modules of the standard library, sorted; nothing is imported for it."""
    found = ["os.path"]
    for name in sorted(sys.stdlib_module_names - NOISY - OUTDATED):
        if name.startswith("_"):
            continue
        with contextlib.suppress(ImportError, ValueError):
            spec = importlib.util.find_spec(name)
            if spec is not None:
                found.append(name)
                found += _submodules(name, list(spec.submodule_search_locations or ()))
    return sorted(found)


def _submodules(package: str, folders: list[str]) -> Iterator[str]:
    for module in pkgutil.iter_modules(folders):
        if module.name.startswith("_") or module.name in NOISY:
            continue
        yield f"{package}.{module.name}"
        if module.ispkg:
            yield from _submodules(f"{package}.{module.name}", [os.path.join(f, module.name) for f in folders])  # noqa: PTH118


def first_paragraph(documentation: object, name: str) -> str | None:
    r"""Take a docstring's first paragraph, where it is prose of 25 to 400 characters.

    Args:
        documentation: what ``__doc__`` holds.
        name: the documented object's own short name; a paragraph that starts by calling it is a signature line.

    Returns:
        The paragraph on one line, or None.

    Example:
        >>> first_paragraph("Return the n largest elements\n  of a data set.\n\nMore.", "nlargest")
        'Return the n largest elements of a data set.'
        >>> first_paragraph("nlargest(n, iterable) -> list of the n largest", "nlargest") is None
        True
    """
    if not isinstance(documentation, str):
        return None
    paragraph = " ".join(re.split(r"\n\s*\n", inspect.cleandoc(documentation), maxsplit=1)[0].split())
    called = rf"[\w.]*\b{re.escape(name)} ?\(|[\w.]+\([^()]*\)( ?->|$)"
    if not SHORTEST <= len(paragraph) <= LONGEST or re.match(called, paragraph):
        return None
    return paragraph


def signature_text(called: object, *, bound: bool = False) -> str:
    """Write a signature as a caller sees it: no annotations, no ``self``, nothing that changes between runs.

    Example:
        >>> signature_text(sorted)
        '(iterable, /, *, key=None, reverse=False)'
        >>> signature_text(str.join, bound=True)
        '(iterable, /)'
    """
    try:
        signature = inspect.signature(called)  # type: ignore[arg-type]
        parameters = list(signature.parameters.values())[bound:]
        stable = [p.replace(annotation=p.empty, default=_stable_default(p.default)) for p in parameters]
        return str(signature.replace(parameters=stable, return_annotation=signature.empty))
    except Exception:  # noqa: BLE001 - the objects are foreign; many written in C have no signature
        return "(...)"


def _stable_default(default: object) -> object:
    if default is inspect.Parameter.empty:
        return default
    # Exact types: an enum's repr differs between Python versions. A large number is sys.maxsize, a slash is a path.
    plain = type(default) in _PLAIN_DEFAULTS and len(repr(default)) <= 40
    local = (isinstance(default, int) and abs(default) >= 2**31) or (isinstance(default, str) and os.sep in default)
    return default if (plain and not local) or default in ((), [], {}) else _Elided()


class Walk:
    """Collects the entries of modules that are imported already, each object once.

    An object is named by the module that defines it, or by a package around that module where it is offered too
    (``asyncio.Queue``); where neither is public, by the first module that shows it. Built-in functions and classes have
    no prefix: ``sorted``, ``str.join``. Of objects with one name and one documentation, the first is kept.

    Args:
        modules: imported modules by name.
    """

    def __init__(self, modules: dict[str, types.ModuleType]) -> None:
        self._modules = modules
        # Objects by identity: many are unhashable. All stay alive, because their modules do.
        self._seen: set[int] = set()
        self._told: set[tuple[str, str]] = set()

    def entries(self) -> Iterator[Record]:
        """Yield the entries of all modules, built-ins first."""
        for record in self._documented():
            told = record[0].rpartition(".")[2], record[3]
            if told not in self._told:
                self._told.add(told)
                yield record

    def _documented(self) -> Iterator[Record]:
        for module in sorted(self._modules, key=lambda name: (name != "builtins", name)):
            for short in self._offered(module):
                member = vars(self._modules[module])[short]
                name = short if module == "builtins" else f"{module}.{short}"
                is_class = inspect.isclass(member)
                documentation = vars(member).get("__doc__") if is_class else getattr(member, "__doc__", None)
                paragraph = first_paragraph(documentation, short)
                if paragraph:
                    yield name, "class" if is_class else "function", signature_text(member), paragraph
                if is_class:
                    yield from self._methods(name, member)

    def _offered(self, module_name: str) -> Iterator[str]:
        """Yield the names of the functions and classes that are named by this module."""
        module = self._modules[module_name]
        members = vars(module)
        # Functions first: random.gauss is what one calls, not random.Random.gauss. An alias comes after the name that
        # the object gives itself.
        for name in sorted(_public(module), key=lambda n: (inspect.isclass(members[n]), _own_name(members[n]) != n, n)):
            member = members[name]
            if module_name in ("builtins", self._home(module_name, name, member)) and self._first_time(member):
                yield name

    def _home(self, shown_by: str, name: str, member: object) -> str | None:
        defined_by = str(getattr(member, "__module__", None) or shown_by)
        parts = defined_by.split(".")
        if parts[0] not in sys.stdlib_module_names:
            return None
        for depth in range(1, len(parts) + 1):
            module = self._modules.get(".".join(parts[:depth]))
            if module is not None and name in _public(module) and vars(module)[name] is member:
                return ".".join(parts[:depth])
        return shown_by

    def _methods(self, class_name: str, owner: type) -> Iterator[Record]:
        for name, member in sorted(vars(owner).items(), key=lambda item: (_own_name(item[1]) != item[0], item[0])):
            unwrapped = member.__func__ if isinstance(member, classmethod | staticmethod) else member
            if name.startswith("_") or not inspect.isroutine(unwrapped) or not self._first_time(unwrapped):
                continue
            documentation = getattr(unwrapped, "__doc__", None)
            inherited = [getattr(vars(base).get(name), "__doc__", None) for base in owner.__mro__[1:]]
            paragraph = first_paragraph(documentation, name)
            if paragraph and documentation not in inherited:
                # A function needs its first parameter removed; a built-in class method is bound already.
                bound = not isinstance(member, staticmethod) and not isinstance(member, types.ClassMethodDescriptorType)
                called = getattr(owner, name) if isinstance(member, types.ClassMethodDescriptorType) else unwrapped
                yield f"{class_name}.{name}", "method", signature_text(called, bound=bound), paragraph

    def _first_time(self, member: object) -> bool:
        new = id(member) not in self._seen
        self._seen.add(id(member))
        return new


def _own_name(member: object) -> object:
    return getattr(member, "__name__", None)


def _public(module: types.ModuleType) -> set[str]:
    declared = getattr(module, "__all__", None)
    if declared is None and "." in module.__name__:
        return set()  # a submodule that declares no interface is an implementation detail of its package
    names = vars(module) if declared is None else declared
    members = {name: vars(module).get(name) for name in names if isinstance(name, str) and not name.startswith("_")}
    return {name for name, member in members.items() if inspect.isclass(member) or inspect.isroutine(member)}


def main(skipped: list[str]) -> None:
    """Import everything but ``skipped``, then print the entries."""
    # Whatever an import writes, to a stream or to the file descriptor, goes nowhere.
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    for stream in (1, 2):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream)
    sys.stdout = sys.stderr = io.StringIO()
    warnings.simplefilter("ignore")

    def answer(*line: object) -> None:
        answers.write(json.dumps(line) + "\n")
        answers.flush()

    modules = {}
    for name in [name for name in module_names() if name not in skipped]:
        answer("module", name)
        faulthandler.dump_traceback_later(SECONDS_PER_MODULE, exit=True, file=answers)
        try:
            modules[name] = importlib.import_module(name)
        except BaseException:  # noqa: BLE001, S112 - SystemExit and the like: a module for another platform
            continue
    faulthandler.cancel_dump_traceback_later()
    for record in Walk(modules).entries():
        answers.write(json.dumps(("entry", *record)) + "\n")
    answer("end")
    os._exit(0)  # nothing that an import started may delay or follow


if __name__ == "__main__":
    main(sys.argv[1:])
