"""Heads that Quaterion 0.1 saved: built again from their arguments, with their weights under our names."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor

from quaterion_models import heads
from quaterion_models.heads.encoder_head import EncoderHead
from quaterion_models.saving.allocation_limit import AllocationLimit
from quaterion_models.saving.files import CONFIG, ModelFolderError, read_json
from quaterion_models.saving.head_folder import check_parts
from quaterion_models.saving.old_folder import OldClass, OldFolder, read_old_weights
from quaterion_models.saving.registry import find_type

_KNOWN = {
    "EmptyHead",
    "GatedHead",
    "SkipConnectionHead",
    "StackedProjectionHead",
    "WideningHead",
    "SoftmaxEmbeddingsHead",
}
_REBUILD = (
    "Load it where Quaterion 0.1 is installed, note its parts, build the same head here with the weights of its "
    "state_dict(), and pass it as head= to quaterion_models.saving.convert.convert_model"
)
_NOT_READ = {
    "SequentialHead": f"its layers were pickled, which can run any code, so they are not read. {_REBUILD}",
    "SwitchHead": f"the old format has no safe description of the heads inside it. {_REBUILD}",
}


def read_old_head(old: OldFolder, classes: Iterable[type]) -> EncoderHead:
    """Builds the head of an old folder.

    Args:
        old: The folder.
        classes: Classes of the caller's own.

    Returns:
        The head.

    Raises:
        ModelFolderError: If its class, its arguments or its weights are not known for certain, with the reason.
    """
    if old.head.is_built_in and old.head.name in _NOT_READ:
        raise ModelFolderError(_NOT_READ[old.head.name])
    cls = _head_class(old.head, classes)
    arguments = read_json(old.head_path / CONFIG)
    weights = read_old_weights(old.head_path)
    where = f"{old.head_path / CONFIG}"
    check_parts(arguments, where)
    stored = sum(tensor.numel() for tensor in weights.values())
    if cls.__name__ in _KNOWN and cls is getattr(heads, cls.__name__):
        with torch.device("meta"):
            outline = _built(cls, arguments, stored, where)
        weights = _renamed(outline, weights, where)
    head = _built(cls, arguments, stored, where)
    _check_weights(head, weights, where)
    head.load_state_dict(weights)
    return head


def _head_class(named: OldClass, classes: Iterable[type]) -> type[EncoderHead]:
    if named.is_built_in and named.name in _KNOWN:
        found: type[EncoderHead] = getattr(heads, named.name)
        return found
    return find_type(named.type_name, EncoderHead, classes, where="the head")  # type: ignore[type-abstract]


def _built(cls: type[EncoderHead], arguments: Mapping[str, Any], stored: int, where: str) -> EncoderHead:
    try:
        with AllocationLimit(stored):
            return cls(**arguments)
    except Exception as error:  # whatever a constructor raises
        raise ModelFolderError(f"{where}: {cls.__name__} cannot be built from these arguments: {error}") from error


def _renamed(head: EncoderHead, weights: Mapping[str, Tensor], where: str) -> dict[str, Tensor]:
    """Gives old weights our names: gates to gates, weights to weights, in the order of the layers."""
    ours, old = _by_role(head.state_dict()), _by_role(weights)
    if {role: len(names) for role, names in ours.items()} != {role: len(names) for role, names in old.items()}:
        raise ModelFolderError(
            f"{where}: the weights {sorted(weights)} are not clearly those of a {type(head).__name__}, which has "
            f"{sorted(head.state_dict())}. {_REBUILD}"
        )
    for names in old.values():
        numbers = [[int(number) for number in re.findall(r"\d+", name)] for name in names]
        if numbers != sorted(numbers):
            raise ModelFolderError(f"{where}: the order of the layers is not clear from {names}. {_REBUILD}")
    return {own: weights[name] for role in ours for own, name in zip(ours[role], old[role], strict=True)}


def _by_role(weights: Mapping[str, Tensor]) -> dict[str, list[str]]:
    roles: dict[str, list[str]] = {}
    for name in weights:
        role = "gate" if "gate" in name.lower() else name.rpartition(".")[2]
        roles.setdefault(role, []).append(name)
    return roles


def _check_weights(head: EncoderHead, weights: Mapping[str, Tensor], where: str) -> None:
    expected = {name: list(tensor.shape) for name, tensor in head.state_dict().items()}
    found = {name: list(tensor.shape) for name, tensor in weights.items()}
    if found != expected:
        raise ModelFolderError(f"{where}: a {type(head).__name__} built so has {expected}, the weights are {found}")
    odd = [name for name, tensor in weights.items() if not tensor.dtype.is_floating_point]
    if odd != [name for name, tensor in head.state_dict().items() if not tensor.dtype.is_floating_point]:
        raise ModelFolderError(f"{where}: the weights {odd} are no floating point numbers")
