"""Constructor arguments: recorded when an object is built, written as JSON, and used to build it again."""

from __future__ import annotations

import inspect
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np
import torch

_T = TypeVar("_T")
_ATTRIBUTE = "_constructor_arguments"
_MAX_DEPTH = 32


class Arguments(NamedTuple):
    """Constructor arguments in a form that JSON can hold.

    Attributes:
        values: Argument names to encoded values; `"*name"` holds the variable positional ones.
        unrecorded: Argument names to the type of a value that JSON cannot hold.
    """

    values: dict[str, Any]
    unrecorded: dict[str, str]


def record_arguments(instance: object, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """Stores the arguments of a constructor call on the object being built; to be called from `__new__`.

    Nothing is stored where the arguments do not fit the signature (the constructor will say so), as when an object is
    copied or unpickled (its attributes, these among them, then arrive by themselves).

    Args:
        instance: The object, not yet initialised.
        args: Positional arguments.
        kwargs: Keyword arguments.
    """
    signature = inspect.signature(type(instance).__init__)
    try:
        bound = signature.bind(instance, *args, **kwargs)
    except TypeError:
        return
    bound.apply_defaults()
    given: dict[str, Any] = {}
    for parameter in list(signature.parameters.values())[1:]:
        value = bound.arguments[parameter.name]
        if parameter.kind is parameter.VAR_KEYWORD:
            given.update(value)
        elif parameter.kind is not parameter.VAR_POSITIONAL:
            given[parameter.name] = value
        elif value:
            given[f"*{parameter.name}"] = list(value)
    # Straight into the instance's dict: nn.Module has not been initialised yet.
    instance.__dict__[_ATTRIBUTE] = encode_arguments(given)


def recorded_arguments(instance: object) -> Arguments | None:
    """Returns what :func:`record_arguments` stored, or None."""
    found: Arguments | None = instance.__dict__.get(_ATTRIBUTE)
    return found


def encode_arguments(given: Mapping[str, Any]) -> Arguments:
    """Encodes arguments for JSON, and lists those that cannot be.

    Args:
        given: Names to values.

    Returns:
        Encoded values and the types of those left out.

    Example:
        >>> encode_arguments({"size": 3, "shape": (1, 2), "model": object()})
        Arguments(values={'size': 3, 'shape': {'$tuple': [1, 2]}}, unrecorded={'model': 'builtins.object'})
    """
    values: dict[str, Any] = {}
    unrecorded: dict[str, str] = {}
    for name, value in given.items():
        try:
            values[name] = encode_value(value)
        except TypeError:
            unrecorded[name] = f"{type(value).__module__}.{type(value).__qualname__}"
    return Arguments(values, unrecorded)


def decode_arguments(encoded: Mapping[str, Any]) -> dict[str, Any]:
    """Turns encoded arguments back into Python values."""
    return {name: decode_value(value) for name, value in encoded.items()}


def build(cls: type[_T], arguments: Mapping[str, Any]) -> _T:
    """Calls a class with recorded arguments.

    Args:
        cls: The class.
        arguments: Decoded arguments as :func:`record_arguments` names them.

    Returns:
        The new object.
    """
    rest = dict(arguments)
    positional: list[Any] = []
    parameters = list(inspect.signature(cls.__init__).parameters.values())[1:]
    variable = next((p for p in parameters if p.kind is p.VAR_POSITIONAL and f"*{p.name}" in rest), None)
    for parameter in parameters:
        if parameter.kind is parameter.POSITIONAL_ONLY or (
            variable is not None and parameter.kind is parameter.POSITIONAL_OR_KEYWORD
        ):
            if parameter.name in rest:
                positional.append(rest.pop(parameter.name))
        elif parameter is variable:
            positional += rest.pop(f"*{parameter.name}")
    return cls(*positional, **rest)


def encode_value(value: Any, depth: int = 0) -> Any:
    """Encodes one value for JSON so that :func:`decode_value` gives it back with its type.

    Args:
        value: None, bool, int, float, str, numpy number, path, torch dtype, or a list, tuple or dict of them.
        depth: How deep the value lies inside others.

    Returns:
        What `json.dumps` takes.

    Raises:
        TypeError: If the value cannot be written.
    """
    if depth > _MAX_DEPTH:
        raise TypeError(f"nested more than {_MAX_DEPTH} levels deep")
    kind = type(value)
    if value is None or kind in {bool, int, str} or (kind is float and math.isfinite(value)):
        return value
    if kind is float:
        return {"$float": repr(value)}
    if isinstance(value, np.generic) and isinstance(value.item(), (bool, int, float, str)):
        return encode_value(value.item(), depth)
    if kind is list:
        return [encode_value(item, depth + 1) for item in value]
    if kind is tuple:
        return {"$tuple": [encode_value(item, depth + 1) for item in value]}
    if kind is dict:
        pairs = [(encode_value(k, depth + 1), encode_value(v, depth + 1)) for k, v in value.items()]
        if all(type(key) is str and not key.startswith("$") for key in value):
            return dict(pairs)
        return {"$dict": [list(pair) for pair in pairs]}
    if isinstance(value, Path):
        return {"$path": str(value)}
    if isinstance(value, torch.dtype):
        return {"$dtype": str(value).removeprefix("torch.")}
    raise TypeError(f"{kind.__module__}.{kind.__qualname__} cannot be written as JSON")


def decode_value(value: Any) -> Any:
    """Turns one encoded value back.

    Args:
        value: What :func:`encode_value` gave, read from JSON.

    Returns:
        The Python value.

    Raises:
        ValueError: If the value does not have the expected form.
    """
    if isinstance(value, list):
        return [decode_value(item) for item in value]
    if not isinstance(value, dict):
        return value
    if len(value) != 1 or not next(iter(value)).startswith("$"):
        return {key: decode_value(item) for key, item in value.items()}
    ((tag, content),) = value.items()
    if tag == "$tuple" and isinstance(content, list):
        return tuple(decode_value(item) for item in content)
    if (
        tag == "$dict"
        and isinstance(content, list)
        and all(isinstance(p, list) and len(p) == 2 for p in content)
    ):
        return {_hashable(decode_value(key)): decode_value(item) for key, item in content}
    if tag == "$path" and isinstance(content, str):
        return Path(content)
    if tag == "$float" and content in {"nan", "inf", "-inf"}:
        return float(content)
    if tag == "$dtype" and isinstance(content, str):
        dtype = vars(torch).get(content)
        if isinstance(dtype, torch.dtype):
            return dtype
    raise ValueError(f"not a known value: {str(value)[:200]}")


def _hashable(key: Any) -> Any:
    try:
        hash(key)
    except TypeError as error:
        raise ValueError(f"not a dict key: {str(key)[:200]}") from error
    return key
