"""Names of types in model folders: stable ones for our own classes, and where a user's class may be found."""

from __future__ import annotations

import importlib
import inspect
import sys
from collections.abc import Iterable
from typing import TypeVar

from torch import nn

from quaterion_models.saving.files import ModelFolderError

_T = TypeVar("_T", bound=nn.Module)

# Stable names with a version: a class may move or be renamed, its name in folders stays for ever.
_BUILT_IN: dict[str, tuple[str, str]] = {
    "EmptyHead/1": ("quaterion_models.heads.empty_head", "EmptyHead"),
    "GatedHead/1": ("quaterion_models.heads.gated_head", "GatedHead"),
    "SkipConnectionHead/1": ("quaterion_models.heads.skip_connection_head", "SkipConnectionHead"),
    "SequentialHead/1": ("quaterion_models.heads.sequential_head", "SequentialHead"),
    "StackedProjectionHead/1": ("quaterion_models.heads.stacked_projection_head", "StackedProjectionHead"),
    "WideningHead/1": ("quaterion_models.heads.widening_head", "WideningHead"),
    "SoftmaxEmbeddingsHead/1": ("quaterion_models.heads.softmax_embeddings_head", "SoftmaxEmbeddingsHead"),
    "SwitchHead/1": ("quaterion_models.heads.switch_head", "SwitchHead"),
    "SwitchEncoder/1": ("quaterion_models.encoders.switch_encoder", "SwitchEncoder"),
    "CallableEncoder/1": ("quaterion_models.encoders.callable_encoder", "CallableEncoder"),
    "FieldEncoder/1": ("quaterion_models.encoders.field_encoder", "FieldEncoder"),
    "VectorEncoder/1": ("quaterion_models.encoders.vector_encoder", "VectorEncoder"),
    "FasttextEncoder/1": ("quaterion_models.encoders.extras.fasttext_encoder", "FasttextEncoder"),
    "SentenceTransformerEncoder/1": (
        "quaterion_models.encoders.sentence_transformer_encoder",
        "SentenceTransformerEncoder",
    ),
    "TransformersEncoder/1": ("quaterion_models.encoders.transformers_encoder", "TransformersEncoder"),
    "ImageEncoder/1": ("quaterion_models.encoders.image_encoder", "ImageEncoder"),
    "ClipEncoder/1": ("quaterion_models.encoders.clip_encoder", "ClipEncoder"),
    "ClipTextEncoder/1": ("quaterion_models.encoders.clip_towers", "ClipTextEncoder"),
    "ClipImageEncoder/1": ("quaterion_models.encoders.clip_towers", "ClipImageEncoder"),
    "TimmEncoder/1": ("quaterion_models.encoders.timm_encoder", "TimmEncoder"),
}
_NAMES = {place: name for name, place in _BUILT_IN.items()}


def type_name(cls: type) -> str:
    """Gives the name under which a class is saved.

    Args:
        cls: A class.

    Returns:
        `"GatedHead/1"` for one of ours, `"module:Class"` for a user's.

    Example:
        >>> from quaterion_models.heads import GatedHead
        >>> type_name(GatedHead)
        'GatedHead/1'
    """
    return _NAMES.get((cls.__module__, cls.__qualname__), f"{cls.__module__}:{cls.__qualname__}")


def find_type(name: str, base: type[_T], classes: Iterable[type], *, where: str) -> type[_T]:
    """Finds the class of a saved name, without importing anything that a file names.

    One of our own names is looked up in a fixed table; any other only among `classes` and the modules that the process
    has imported already.

    Args:
        name: The saved name.
        base: What the class must be a subclass of.
        classes: Classes given by the caller.
        where: File and entry, for messages.

    Returns:
        The class.

    Raises:
        ModelFolderError: If there is no such class, or it is abstract or not a subclass of `base`.
    """
    if name in _BUILT_IN:
        module, attribute = _BUILT_IN[name]
        found: object = vars(importlib.import_module(module))[attribute]
    else:
        found = _given(name, classes, where) or _imported(name)
    if found is None:
        raise ModelFolderError(
            f"{where} names the class {name!r}, which this process has not imported (nothing is imported by a name "
            "read from a file). Import its module before loading, or pass classes=[TheClass]"
        )
    if not inspect.isclass(found) or not issubclass(found, base) or inspect.isabstract(found):
        raise ModelFolderError(
            f"{where} names {name!r}, which is not a class of kind {base.__name__} that can be built"
        )
    return found


def _given(name: str, classes: Iterable[type], where: str) -> type | None:
    classes = list(classes)
    for cls in classes:
        if type_name(cls) == name:
            return cls
    # A class that has moved since is found by its own name.
    own_name = name.rpartition(":")[2]
    same = [cls for cls in classes if own_name in {cls.__qualname__, cls.__name__}]
    if len(same) > 1:
        raise ModelFolderError(f"{where} names {name!r}, and classes holds several of that name: {same}")
    return same[0] if same else None


def _imported(name: str) -> object | None:
    module_name, _, qualified = name.partition(":")
    module = sys.modules.get(module_name)
    if module is None or not qualified:
        return None
    # Through the dicts only: an attribute of a module may be a function that imports.
    found: object = module
    for part in qualified.split("."):
        names = found.__dict__ if inspect.ismodule(found) or inspect.isclass(found) else {}
        if part not in names:
            return None
        found = names[part]
    return found


def own_classes(model: nn.Module) -> list[type]:
    """Lists the classes in a model that its folder names and this library does not know.

    Args:
        model: A model, an encoder or a head.

    Returns:
        Encoders and heads of the user's own, each once.
    """
    from quaterion_models.encoders.encoder import Encoder
    from quaterion_models.heads.encoder_head import EncoderHead

    kinds = [type(part) for part in model.modules() if isinstance(part, (Encoder, EncoderHead))]
    return list(dict.fromkeys(kind for kind in kinds if ":" in type_name(kind)))
