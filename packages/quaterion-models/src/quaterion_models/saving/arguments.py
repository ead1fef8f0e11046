"""Constructor arguments: recorded when an object is built, written as JSON, and used to build it again."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np
import torch

_T = TypeVar("_T")
RECORDED_IN = "_constructor_arguments"
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
    instance.__dict__[RECORDED_IN] = encode_arguments(given)


def recorded_arguments(instance: object) -> Arguments | None:
    """Returns what `record_arguments` stored, or None."""
    found: Arguments | None = instance.__dict__.get(RECORDED_IN)
    return found


def encode_arguments(given: Mapping[str, Any], special: Callable[[Any], Any] | None = None) -> Arguments:
    """Encodes arguments for JSON, and lists those that cannot be.

    Args:
        given: Names to values.
        special: As for `encode_value`.

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
            values[name] = encode_value(value, special)
        except TypeError:
            unrecorded[name] = f"{type(value).__module__}.{type(value).__qualname__}"
    return Arguments(values, unrecorded)


def decode_arguments(encoded: Mapping[str, Any], special: Callable[[str, Any], Any] | None = None) -> dict[str, Any]:
    """Turns encoded arguments back into Python values.

    Args:
        encoded: Names to encoded values.
        special: As for `decode_value`.

    Returns:
        Names to values.
    """
    return {name: decode_value(value, special) for name, value in encoded.items()}


def build(cls: type[_T], arguments: Mapping[str, Any]) -> _T:
    """Calls a class with recorded arguments.

    Args:
        cls: The class.
        arguments: Decoded arguments as `record_arguments` names them.

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


def encode_value(value: Any, special: Callable[[Any], Any] | None = None, depth: int = 0) -> Any:
    """Encodes one value for JSON so that `decode_value` gives it back with its type.

    Args:
        value: None, bool, int, float, str, numpy number, path, torch dtype, or a list, tuple or dict of them.
        special: Encodes other values into a dict with one key that starts with `$`, or returns None.
        depth: How deep the value lies inside others.

    Returns:
        What `json.dumps` takes.

    Raises:
        TypeError: If the value cannot be written.
    """
    if depth > _MAX_DEPTH:
        raise TypeError(f"nested more than {_MAX_DEPTH} levels deep")

    def inner(item: Any) -> Any:
        return encode_value(item, special, depth + 1)

    kind = type(value)
    if value is None or kind in {bool, int, str} or (kind is float and math.isfinite(value)):
        return value
    if isinstance(value, np.generic) and isinstance(value.item(), (bool, int, float, str)):
        return encode_value(value.item(), special, depth)
    if kind is list:
        return [inner(item) for item in value]
    if kind in {tuple, torch.Size}:
        return {"$tuple": [inner(item) for item in value]}
    if kind is dict:
        pairs = [(inner(key), inner(item)) for key, item in value.items()]
        if all(type(key) is str and not key.startswith("$") for key in value):
            return dict(pairs)
        return {"$dict": [list(pair) for pair in pairs]}
    return _encode_rare(value, special)


def _encode_rare(value: Any, special: Callable[[Any], Any] | None) -> Any:
    if type(value) is float:
        return {"$float": repr(value)}
    if isinstance(value, Path):
        return {"$path": str(value)}
    if isinstance(value, torch.dtype):
        return {"$dtype": str(value).removeprefix("torch.")}
    encoded = special(value) if special is not None else None
    if encoded is None:
        raise TypeError(f"{type(value).__module__}.{type(value).__qualname__} cannot be written as JSON")
    return encoded


def decode_value(value: Any, special: Callable[[str, Any], Any] | None = None) -> Any:
    """Turns one encoded value back.

    Args:
        value: What `encode_value` gave, read from JSON.
        special: Decodes the content under a key that starts with `$`, or returns None where it knows none such.

    Returns:
        The Python value.

    Raises:
        ValueError: If the value does not have the expected form.
    """
    if isinstance(value, list):
        return [decode_value(item, special) for item in value]
    if not isinstance(value, dict):
        return value
    if len(value) != 1 or not next(iter(value)).startswith("$"):
        return {key: decode_value(item, special) for key, item in value.items()}
    ((tag, content),) = value.items()
    if tag in {"$tuple", "$dict"} and isinstance(content, list):
        items = decode_value(content, special)
        return tuple(items) if tag == "$tuple" else _dict(items)
    if tag == "$path" and isinstance(content, str):
        return Path(content)
    if tag == "$float" and content in ("nan", "inf", "-inf"):
        return float(content)
    if tag == "$dtype" and isinstance(content, str) and isinstance(vars(torch).get(content), torch.dtype):
        return vars(torch)[content]
    decoded = special(tag, content) if special is not None else None
    if decoded is None:
        raise ValueError(f"not a known value: {str(value)[:200]}")
    return decoded


def _dict(pairs: list[Any]) -> dict[Any, Any]:
    try:
        return dict(pairs)
    except (TypeError, ValueError) as error:
        raise ValueError(f"not pairs of a key and a value: {str(pairs)[:200]}") from error
