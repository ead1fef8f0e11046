"""Layers of torch as a table of names and arguments, instead of a pickle."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from typing import Any

from torch import Tensor, nn

from quaterion_models.saving.files import ModelFolderError

# Layers that keep every constructor argument as an attribute. A fixed list: the names come from files.
_LAYERS: dict[str, type[nn.Module]] = {
    cls.__name__: cls
    for cls in (
        *(nn.Linear, nn.Identity, nn.Flatten, nn.Unflatten),
        *(nn.Dropout, nn.Dropout1d, nn.AlphaDropout, nn.FeatureAlphaDropout),
        *(nn.LayerNorm, nn.BatchNorm1d, nn.InstanceNorm1d, nn.GroupNorm, nn.RMSNorm),
        *(nn.Conv1d, nn.AvgPool1d, nn.MaxPool1d, nn.AdaptiveAvgPool1d, nn.AdaptiveMaxPool1d),
        *(nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.PReLU, nn.ELU, nn.SELU, nn.CELU, nn.GELU, nn.SiLU, nn.Mish),
        *(nn.Tanh, nn.Sigmoid, nn.Softsign, nn.Softplus, nn.LogSigmoid, nn.Hardtanh, nn.Hardswish),
        *(nn.Hardsigmoid, nn.Tanhshrink, nn.Softshrink, nn.Hardshrink, nn.GLU, nn.Softmax, nn.LogSoftmax),
    )
}
_PLACEMENT = {"device", "dtype"}  # not part of what a layer computes; the dtype comes with the state
_DEPRECATED = {("Hardtanh", "min_value"), ("Hardtanh", "max_value")}


def layer_to_spec(module: nn.Module, encode: Callable[[Any], Any]) -> dict[str, Any]:
    """Describes a layer by its name and constructor arguments.

    Args:
        module: A layer of `torch.nn`, an `nn.Sequential` of layers, or a module of another class that keeps each
            constructor argument as an attribute of the same name.
        encode: Encodes a value for JSON; raises TypeError where it cannot.

    Returns:
        `{"type": ..., "args": ...}`.

    Raises:
        TypeError: If an argument cannot be told from the layer.
    """
    cls = type(module)
    if cls is nn.Sequential:
        # Names of the parts matter: they are in the names of the state's tensors.
        return {
            "type": "Sequential",
            "layers": [[name, encode(part)] for name, part in module.named_children()],
        }
    known = _LAYERS.get(cls.__name__) is cls
    name = cls.__name__ if known else f"{cls.__module__}:{cls.__qualname__}"
    args = {}
    for parameter in list(inspect.signature(cls.__init__).parameters.values())[1:]:
        if known and (parameter.name in _PLACEMENT or (cls.__name__, parameter.name) in _DEPRECATED):
            continue
        if parameter.kind in {parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD}:
            if known or cls.__init__ is nn.Module.__init__:
                continue
            raise TypeError(f"the arguments of {name} cannot be told from its attributes")
        if not hasattr(module, parameter.name):
            raise TypeError(f"{name} has no attribute {parameter.name!r} to tell that argument from")
        value = getattr(module, parameter.name)
        # Layers replace the flag `bias` by the parameter itself.
        if parameter.name == "bias" and (value is None or isinstance(value, Tensor)):
            value = value is not None
        args[parameter.name] = encode(value)
    return {"type": name, "args": args}


def layer_from_spec(spec: Any, decode: Callable[[Any], Any], classes: Iterable[type], *, where: str) -> nn.Module:
    """Builds a layer from its description.

    Args:
        spec: What `layer_to_spec` gave, read from JSON.
        decode: Decodes a value.
        classes: Classes beyond those of `torch.nn`; no other class is built, even if it is imported.
        where: The file, for messages.

    Returns:
        The layer, not yet with its state.

    Raises:
        ModelFolderError: If the description is not understood, or its class not known.
    """
    name = spec.get("type") if isinstance(spec, dict) else None
    if not isinstance(name, str):
        raise ModelFolderError(f"{where}: a layer must be described by its type and arguments")
    if name == "Sequential":
        return _sequential(spec.get("layers"), decode, where)
    args = spec.get("args")
    if not isinstance(args, dict):
        raise ModelFolderError(f"{where}: layer {name!r} must have a dict of arguments")
    cls = _LAYERS.get(name) or _given(name, classes)
    if cls is None:
        raise ModelFolderError(
            f"{where}: layer {name!r} is not one of torch.nn that this library builds. If it is yours, pass "
            "classes=[TheClass]"
        )
    try:
        return cls(**{key: decode(value) for key, value in args.items()})
    except (TypeError, ValueError, RuntimeError) as error:
        raise ModelFolderError(f"{where}: layer {name!r} cannot be built from its arguments: {error}") from error


def _sequential(parts: Any, decode: Callable[[Any], Any], where: str) -> nn.Module:
    sequential = nn.Sequential()
    if not isinstance(parts, list):
        raise ModelFolderError(f"{where}: a Sequential must have a list of layers")
    for part in parts:
        if not isinstance(part, list) or len(part) != 2 or not isinstance(part[0], str):
            raise ModelFolderError(f"{where}: a Sequential must have pairs of a name and a layer")
        layer = decode(part[1])
        if not isinstance(layer, nn.Module):
            raise ModelFolderError(f"{where}: a Sequential must hold layers")
        try:
            sequential.add_module(part[0], layer)
        except KeyError as error:
            raise ModelFolderError(f"{where}: {error}") from error
    return sequential


def _given(name: str, classes: Iterable[type]) -> type[nn.Module] | None:
    for cls in classes:
        if issubclass(cls, nn.Module) and name in {f"{cls.__module__}:{cls.__qualname__}", cls.__name__}:
            return cls
    own_name = name.rpartition(":")[2]
    same = [cls for cls in classes if issubclass(cls, nn.Module) and cls.__qualname__ == own_name]
    return same[0] if len(same) == 1 else None
