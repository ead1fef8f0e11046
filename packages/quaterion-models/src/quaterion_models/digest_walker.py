"""Walks what an object is made of, and digests it: values, code, and the objects and functions that it refers to."""

from __future__ import annotations

import collections
import datetime as dt
import decimal
import enum
import functools
import importlib
import importlib.util
import inspect
import itertools
import json
import logging
import re
import sys
import textwrap
import threading
import types
import typing
import uuid
from collections.abc import Callable, Iterable, Iterator
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from quaterion_models.code_origin import (
    PLAIN,
    binding_of,
    globals_in,
    imports_in,
    is_container,
    is_installed,
    is_library,
    is_library_class,
    is_library_code,
    is_member,
    library_version,
    module_name,
    names_in,
    stored_in,
)
from quaterion_models.content_key import content_key, joined
from quaterion_models.saving.arguments import RECORDED_IN

if TYPE_CHECKING:
    from quaterion_models.encoders.encoder import Encoder

__all__ = ["HOOKS", "MODULE_INTERNALS", "DigestWalker"]

# What nn.Module keeps for itself. Hooks are looked at apart, the rest does not change what is computed.
MODULE_INTERNALS = frozenset(vars(nn.Module())) | {RECORDED_IN, "_is_full_backward_hook", "_compiled_call_impl"}
HOOKS = ("_forward_pre_hooks", "_forward_hooks")

_PICKLING = ("__reduce_ex__", "__reduce__", "__getstate__")
_SYNCHRONISING = {"threading", "multiprocessing.synchronize", "asyncio.locks"}  # events, conditions, semaphores
_LOCKS = (type(threading.Lock()), type(threading.RLock()))
_BUILTINS = (
    types.BuiltinFunctionType,
    types.WrapperDescriptorType,
    types.MethodWrapperType,
    types.MethodDescriptorType,
    types.ClassMethodDescriptorType,
)
_TIMES = (dt.date, dt.time, dt.timedelta, decimal.Decimal, uuid.UUID)
_ANNOTATIONS = (types.GenericAlias, types.UnionType, typing.TypeVar, type(typing.Union[int, "str"]))


def _text(text: str) -> bytes:
    return content_key(text)


class DigestWalker:
    """Walks an object's parts once each, in an order that depends on nothing but their content.

    Args:
        encoder: Whose fingerprint it makes, for messages; its own `fingerprint()` is not asked. None for a function.
    """

    def __init__(self, encoder: Encoder | None) -> None:
        self._encoder = encoder
        self._done: dict[int, bytes] = {}
        self._depth: dict[int, int] = {}
        # Keeps what was walked alive, so that no later object gets the same id.
        self._alive: list[Any] = []
        # In this order: the first kind that fits.
        self._kinds: tuple[tuple[Any, Callable[[Any, str], bytes]], ...] = (
            (enum.Enum, self._enum),
            (torch.Tensor, self._tensor),
            (np.ndarray, self._array),
            ((*PLAIN, np.generic, *_TIMES), self._content),
            ((dict, types.MappingProxyType), self._dict),
            ((list, tuple, collections.deque), self._sequence),
            ((set, frozenset), self._set),
            ((torch.dtype, np.dtype, torch.layout, torch.memory_format, PurePath, *_ANNOTATIONS), self._by_text),
            (
                (torch.device, logging.Logger, logging.LoggerAdapter, threading.local, itertools.count, *_LOCKS),
                self._nothing,
            ),
            (re.Pattern, self._pattern),
            (types.ModuleType, self._a_module),
            (types.CodeType, self._code),
            (types.FunctionType, self._function),
            (types.MethodType, self._method),
            (_BUILTINS, self._builtin),
            (functools.partial, self._partial),
            ((property, staticmethod, classmethod, functools.cached_property), self._property),
            (type, self._class),
        )

    def is_known(self, obj: Any) -> None:
        """Takes an object as digested elsewhere, so that a reference to it (a bound method) says only that."""
        self._done[id(obj)] = joined(b"known")

    def digest(self, obj: Any, where: str) -> bytes:
        """Digests one object; `where` says how it was reached."""
        if type(obj) in PLAIN:
            return content_key(obj)
        place = id(obj)
        if place in self._done:
            return self._done[place]
        if place in self._depth:  # an object that contains itself: named by how far up it lies
            return joined(b"cycle", content_key(self._depth[place]))
        self._depth[place] = len(self._depth)
        self._alive.append(obj)
        try:
            result = self._new(obj, where)
        except RecursionError:
            raise self._unknown(obj, where, "it is nested too deeply") from None
        finally:
            del self._depth[place]
        self._done[place] = result
        return result

    def _new(self, obj: Any, where: str) -> bytes:
        for kinds, method in self._kinds:
            if isinstance(obj, kinds):
                return method(obj, where)
        own = _own_fingerprint(obj)
        if own is not None and obj is not self._encoder:
            return joined(b"own", _text(str(own())))
        if isinstance(obj, nn.Module):
            # What torch.compile returned changes by use: what it compiled does not.
            return self._module(vars(obj)["_modules"].get("_orig_mod", obj), where)
        return self._object(obj, where)

    # ---- containers

    def _sequence(self, obj: Iterable[Any], where: str) -> bytes:
        items = [self.digest(item, f"{where}[{number}]") for number, item in enumerate(obj)]
        return joined(b"sequence", self._class_tag(obj), *items)

    def _set(self, obj: Iterable[Any], where: str) -> bytes:
        return joined(b"set", self._class_tag(obj), *sorted(self.digest(item, where) for item in obj))

    def _dict(self, obj: dict[Any, Any], where: str) -> bytes:
        # In the dict's order: the order of columns or of labels may matter.
        items = [self.digest(key, where) + self.digest(value, f"{where}[{key!r:.40}]") for key, value in obj.items()]
        factory = self.digest(getattr(obj, "default_factory", None), where)
        return joined(b"dict", self._class_tag(obj), factory, *items)

    def _class_tag(self, obj: Any) -> bytes:
        return _text(f"{type(obj).__module__}:{type(obj).__qualname__}")

    # ---- values

    def _content(self, obj: Any, _: str) -> bytes:
        return content_key(obj)

    def _tensor(self, obj: torch.Tensor, where: str) -> bytes:
        try:
            return joined(b"tensor", content_key(obj.detach()))
        except TypeError as error:
            raise self._unknown(obj, where, str(error)) from error

    def _array(self, obj: Any, where: str) -> bytes:
        try:
            return joined(b"array", content_key(obj))
        except TypeError:  # an array of objects: walked item by item
            return joined(b"array", content_key(obj.shape), self._sequence(obj.ravel().tolist(), where))

    def _by_text(self, obj: Any, _: str) -> bytes:
        return joined(b"text", self._class_tag(obj), _text(str(obj)))

    def _nothing(self, obj: Any, _: str) -> bytes:
        return joined(b"nothing", self._class_tag(obj))

    def _enum(self, obj: enum.Enum, where: str) -> bytes:
        return joined(b"enum", self._class_tag(obj), _text(obj.name), self.digest(obj.value, where))

    def _pattern(self, obj: re.Pattern[Any], _: str) -> bytes:
        return joined(b"pattern", content_key((obj.pattern, obj.flags)))

    # ---- code

    def _a_module(self, obj: types.ModuleType, where: str) -> bytes:
        name = _text(obj.__name__)
        if is_library(obj.__name__):
            return joined(b"module", name, _text(library_version(obj.__name__)))
        try:
            return joined(b"user module", name, _text(inspect.getsource(obj)))
        except (OSError, TypeError) as error:
            raise self._unknown(obj, where, f"its source is not to be found ({error})") from error

    def _code(self, code: types.CodeType, where: str) -> bytes:
        constants = [self.digest(constant, where) for constant in code.co_consts]
        names = content_key((code.co_names, code.co_varnames, code.co_freevars, code.co_flags))
        arguments = content_key((code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount))
        return joined(b"code", content_key(code.co_code), names, arguments, *constants)

    def _function(self, obj: types.FunctionType, where: str) -> bytes:
        name = f"{obj.__module__}:{obj.__qualname__}"
        if is_library_code(obj.__code__):
            # Of a library's closure (a decorated function) only the version and the values inside count.
            version = _text(library_version(obj.__module__ or ""))
            return joined(b"library", _text(name), version, self._closure(obj, where))
        where = f"{where} ({obj.__qualname__})"
        defaults = self.digest([obj.__defaults__, obj.__kwdefaults__], f"the defaults of {where}")
        code = self._code(obj.__code__, where)
        return joined(b"function", code, defaults, self._closure(obj, where), self._globals(obj, where))

    def _closure(self, obj: types.FunctionType, where: str) -> bytes:
        cells = []
        for name, cell in zip(obj.__code__.co_freevars, obj.__closure__ or (), strict=True):
            if name == "__class__":  # what super() uses: the class is covered by itself
                continue
            try:
                value = cell.cell_contents
            except ValueError:  # not filled yet
                continue
            cells.append(_text(name) + self.digest(value, f"variable {name!r} of {where}"))
        return joined(b"closure", *cells)

    def _globals(self, obj: types.FunctionType, where: str) -> bytes:
        """Follows the globals that a function reads, and what it imports while it runs."""
        code, found = obj.__code__, []
        stored, names = stored_in(code), names_in(code)
        for name in sorted(globals_in(code)):
            if name in stored:  # a counter, or what is loaded at the first call
                found.append(_text(name) + _text(binding_of(obj.__module__, name)))
            elif name in obj.__globals__:
                found += self._named(name, obj.__globals__[name], names, where)
        package = obj.__globals__.get("__package__") or ""
        for wanted in imports_in(code):
            module = importlib.util.resolve_name("." * wanted.level + wanted.module, package)
            if is_installed(module):
                continue
            try:
                value: Any = importlib.import_module(module)
            except ImportError:  # as where the function runs: an optional part
                continue
            found += self._named(module, value, names, where)
            if not wanted.names:  # "import a.b" names a
                top = module.partition(".")[0]
                found += self._named(top, sys.modules[top], names, where)
        return joined(b"globals", *found)

    def _named(self, name: str, value: Any, names: set[str], where: str, above: tuple[Any, ...] = ()) -> list[bytes]:
        """Digests a global; of a module of the user's, those of its attributes that the code names."""
        if is_container(value):  # may be changed by running (a counter, a registry)
            return []
        if not isinstance(value, types.ModuleType) or is_library(value.__name__):
            return [_text(name) + self.digest(value, f"{name!r}, named by {where}")]
        found = [_text(name)]
        inside = vars(value)
        for part in sorted(names & inside.keys()):
            if not any(inside[part] is module for module in (value, *above)):
                found += self._named(f"{name}.{part}", inside[part], names, where, (value, *above))
        return found

    def _method(self, obj: types.MethodType, where: str) -> bytes:
        return joined(b"method", self.digest(obj.__func__, where), self.digest(obj.__self__, f"the object of {where}"))

    def _builtin(self, obj: Any, where: str) -> bytes:
        owner = getattr(obj, "__self__", None)
        module = getattr(obj, "__module__", None) or ""
        name = _text(f"{module}:{obj.__qualname__}") + _text(library_version(module))
        if owner is None or isinstance(owner, (types.ModuleType, type)):
            return joined(b"builtin", name)
        return joined(b"builtin method", name, self.digest(owner, f"the object of {where}"))

    def _partial(self, obj: functools.partial[Any], where: str) -> bytes:
        return joined(b"partial", self.digest([obj.func, obj.args, obj.keywords], where))

    def _property(self, obj: Any, where: str) -> bytes:
        inner = [getattr(obj, name, None) for name in ("fget", "fset", "fdel", "func", "__func__")]
        return joined(b"descriptor", self._class_tag(obj), self.digest(inner, where))

    def _class(self, cls: type, where: str) -> bytes:
        name = _text(f"{module_name(cls.__module__)}:{cls.__qualname__}")
        if is_library_class(cls):
            return joined(b"library", name, _text(library_version(cls.__module__)))
        source = ""
        try:
            source = textwrap.dedent(inspect.getsource(cls))
        except (OSError, TypeError) as error:
            # A small class made while running (a namedtuple) is its members; a module is more than they tell.
            if issubclass(cls, nn.Module):
                raise self._unknown(cls, where, f"its source is not to be found ({error})") from error
        bases = [self.digest(base, f"a base of {where}") for base in cls.__bases__]
        members = [
            _text(key) + self.digest(value, f"{cls.__qualname__}.{key}")
            for key, value in sorted(vars(cls).items())
            if is_member(key, value, has_source=bool(source))
        ]
        return joined(b"class", name, _text(source), *bases, *members)

    # ---- objects

    def _module(self, module: nn.Module, where: str) -> bytes:
        """A torch module: class, parameters, buffers, parts in their order, hooks, and other attributes."""
        parts = [self.digest(type(module), f"the class of {where}")]
        # From the module's own dicts: named_parameters would leave out those that are None or shared.
        for kind in ("_parameters", "_buffers", "_modules"):
            for name, part in vars(module)[kind].items():
                parts.append(_text(name) + self.digest(part, f"{where}.{name}"))
            parts.append(joined(b"end"))
        for name in HOOKS:
            hooks = list(getattr(module, name).values())
            if hooks:
                parts.append(_text(name) + self.digest(hooks, f"the hooks of {where}"))
        rest = {key: value for key, value in vars(module).items() if key not in MODULE_INTERNALS}
        return joined(b"torch module", *parts, self._attributes(rest, where))

    def _attributes(self, attributes: dict[str, Any], where: str) -> bytes:
        # By name: the order may depend on which method ran first.
        inside = (_text(name) + self.digest(attributes[name], f"{where}.{name}") for name in sorted(attributes))
        return joined(b"attributes", *inside)

    def _object(self, obj: Any, where: str) -> bytes:
        if type(obj).__module__ in _SYNCHRONISING:
            return self._nothing(obj, where)
        if type(obj).__module__.partition(".")[0] == "tokenizers" and hasattr(obj, "to_str"):
            # Padding and truncation are set anew by each call.
            content = json.loads(obj.to_str())
            content.pop("padding", None)
            content.pop("truncation", None)
            return joined(
                b"tokenizer", _text(json.dumps(content, sort_keys=True)), _text(library_version("tokenizers"))
            )
        if isinstance(obj, Iterator):
            raise self._unknown(obj, where, "reading it would use it up")
        name = getattr(obj, "__qualname__", None)
        module = getattr(obj, "__module__", None)
        if callable(obj) and isinstance(name, str) and isinstance(module, str) and is_library(module):
            return joined(b"builtin", _text(f"{module}:{name}"), _text(library_version(module)))  # compiled code
        attributes = dict(_attributes_of(obj))
        hidden = self._hidden_state(obj, where)
        if not attributes and not hasattr(obj, "__dict__"):
            return joined(b"reduced", self._class_tag(obj), hidden)
        cls = self.digest(type(obj), f"the class of {where}")
        return joined(b"object", cls, hidden, self._attributes(attributes, where))

    def _hidden_state(self, obj: Any, where: str) -> bytes:
        """Digests what an object keeps beside its attributes, in compiled code say, as pickling would get it."""
        try:
            # Raises for an object with such a state and no way to get it.
            content = obj.__reduce_ex__(4)
        except Exception as error:
            raise self._unknown(obj, where, f"its content is not known ({error})") from error
        if isinstance(content, str):
            return joined(b"named", _text(content))
        if all(getattr(type(obj), name, None) is getattr(object, name, None) for name in _PICKLING):
            return joined(b"nothing hidden")
        made_of = [list(part) if isinstance(part, Iterator) else part for part in content]
        return self.digest(made_of, where)

    def _unknown(self, obj: Any, where: str, why: str) -> TypeError:
        what = obj.__qualname__ if isinstance(obj, type) else f"a {type(obj).__module__}.{type(obj).__qualname__}"
        return TypeError(
            f"cannot make a fingerprint of {type(self._encoder).__name__}: {where} is {what}, and {why}. Override "
            "fingerprint() of the encoder to return a version of your own: a commit hash, a file's checksum"
        )


def _own_fingerprint(obj: Any) -> Callable[[], str] | None:
    from quaterion_models.encoders.encoder import Encoder
    from quaterion_models.encoders.pretrained_collate import PretrainedCollate

    return obj.fingerprint if isinstance(obj, (Encoder, PretrainedCollate)) else None


def _attributes_of(obj: Any) -> Iterator[tuple[str, Any]]:
    yield from getattr(obj, "__dict__", {}).items()
    for cls in type(obj).__mro__:
        slots = cls.__dict__.get("__slots__", ())
        for name in (slots,) if isinstance(slots, str) else slots:
            if name not in {"__dict__", "__weakref__"} and hasattr(obj, name):
                yield name, getattr(obj, name)
