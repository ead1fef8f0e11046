"""Low-rank adapters (LoRA) in a pre-trained model, by the library peft: put in, taken out, merged."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

from torch import nn

from quaterion_models.encoders.model_layers import transformers_models
from quaterion_models.extras import require

if TYPE_CHECKING:
    from peft import LoraConfig

    LoraOptions: TypeAlias = bool | Mapping[str, Any] | LoraConfig

EXTRA = "lora"
ALL_LINEAR = "all-linear"
_DEFAULTS: dict[str, Any] = {"r": 8, "lora_alpha": 16, "lora_dropout": 0.0, "target_modules": ALL_LINEAR}
# Plain values that say which adapters there are. Others of peft hold objects, patterns or files, or train more than
# adapters.
_OPTIONS: dict[str, tuple[type, ...]] = {
    "r": (int,),
    "lora_alpha": (int, float),
    "lora_dropout": (int, float),
    "target_modules": (str, list),
    "layers_to_transform": (int, list),
    "init_lora_weights": (bool, str),
    "use_rslora": (bool,),
    "use_dora": (bool,),
}
_INITIAL = (True, False, "gaussian")
# What peft notes beside the options.
_NOTES = {"peft_type", "peft_version", "task_type", "inference_mode", "base_model_name_or_path", "revision"}


def lora_settings(lora: LoraOptions) -> dict[str, Any]:
    """Turns what a user passes as `lora` into plain values.

    Args:
        lora: True for rank 8 in all linear layers; a dict of arguments of `peft.LoraConfig`; or one.

    Returns:
        Arguments of `peft.LoraConfig`, of types that JSON knows.

    Raises:
        TypeError: If it is something else, or an option is of a wrong type.
        ValueError: If an option is not supported, or has a value that it cannot have.
        ImportError: If peft is not installed.

    Example:
        >>> lora_settings({"r": 4})
        {'r': 4, 'lora_alpha': 16, 'lora_dropout': 0.0, 'target_modules': 'all-linear'}
    """
    peft = require("peft", extra=EXTRA)
    if lora is True:
        given: dict[str, Any] = {}
    elif isinstance(lora, peft.LoraConfig):
        given = _changed_options(peft, lora)
    elif isinstance(lora, Mapping):
        given = dict(lora)
    else:
        raise TypeError(
            f"lora must be True, a dict of arguments of peft.LoraConfig, or a peft.LoraConfig, got {lora!r:.100}"
        )
    unknown = sorted(map(str, given.keys() - _OPTIONS.keys()))
    if unknown:
        raise ValueError(f"lora has the options {unknown}, expected some of {list(_OPTIONS)}. Leave the others out")
    settings = _DEFAULTS | {
        name: sorted(value) if isinstance(value, set | tuple) else value for name, value in given.items()
    }
    _check(settings)
    return settings


def add_adapters(model: nn.Module, settings: Mapping[str, Any]) -> None:
    """Freezes a model and puts trainable adapters beside its linear layers, in place.

    The second matrix of each adapter is 0, so that the model computes what it did. A pooler, which encoders do not use,
    gets none.

    Args:
        model: A pre-trained model.
        settings: As :func:`lora_settings` returns them.

    Raises:
        ValueError: If the model has no such layers.
        ImportError: If peft is not installed.
    """
    peft = require("peft", extra=EXTRA)
    backbone = adapted_part(model)
    options = dict(settings)
    if options["target_modules"] == ALL_LINEAR:
        options["target_modules"] = _linear_layers(backbone)
    model.requires_grad_(False)
    try:
        peft.inject_adapter_in_model(peft.LoraConfig(**options), backbone)
    except ValueError as error:
        raise ValueError(f"lora does not fit {type(backbone).__name__}: {error}") from error


def remove_adapters(model: nn.Module, *, merge: bool) -> None:
    """Makes a model what it was before :func:`add_adapters`, in place.

    Args:
        model: A model with adapters.
        merge: Whether to add what they learned to the weights first, so that the model computes the same.
    """
    for name, layer in adapted_layers(model):
        if merge:
            layer.merge()
        parent, _, child = name.rpartition(".")
        setattr(model.get_submodule(parent), child, layer.get_base_layer())
    backbone: Any = adapted_part(model)
    del backbone.peft_config


def adapted_layers(model: nn.Module) -> list[tuple[str, Any]]:
    """Lists the layers that have adapters, by name."""
    return [(name, layer) for name, layer in model.named_modules() if hasattr(layer, "get_base_layer")]


def adapted_part(model: nn.Module) -> nn.Module:
    """The part of a model that adapters are put into: the model of transformers in it, or all of it."""
    return next(transformers_models(model), model)


def _changed_options(peft: Any, config: Any) -> dict[str, Any]:
    """The options of a configuration that are not peft's defaults."""
    usual = peft.LoraConfig().to_dict()
    return {
        name: value for name, value in config.to_dict().items() if name not in _NOTES and value != usual.get(name)
    } | {"r": config.r, "lora_alpha": config.lora_alpha, "lora_dropout": config.lora_dropout}


def _check(settings: Mapping[str, Any]) -> None:
    for name, value in settings.items():
        kinds = _OPTIONS[name]
        if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
            expected = " or ".join(kind.__name__ for kind in kinds)
            raise TypeError(f"lora: {name} must be {expected}, got {value!r:.100}")
    if settings["r"] < 1:
        raise ValueError(f"lora: r must be 1 or more, got {settings['r']}")
    if not 0 <= settings["lora_dropout"] < 1:
        raise ValueError(f"lora: lora_dropout must be from 0 to below 1, got {settings['lora_dropout']}")
    if isinstance(settings["target_modules"], str) and settings["target_modules"] != ALL_LINEAR:
        raise ValueError(
            f"lora: target_modules must be {ALL_LINEAR!r} or a list of names, got {settings['target_modules']!r:.100}"
        )
    if settings.get("init_lora_weights", True) not in _INITIAL:
        raise ValueError(
            f"lora: init_lora_weights must be one of {list(_INITIAL)}, got {settings['init_lora_weights']!r:.100}"
        )


def _linear_layers(backbone: nn.Module) -> list[str]:
    linear: tuple[type[nn.Module], ...] = (nn.Linear,)
    if any(True for _ in transformers_models(backbone)):  # GPT-2 has its own
        linear += (require("transformers.pytorch_utils", extra="transformers").Conv1D,)
    names = [name for name, layer in backbone.named_modules() if isinstance(layer, linear)]
    names = [name for name in names if "pooler" not in name.split(".")]
    if not names:
        raise ValueError(
            f"lora: {type(backbone).__name__} has no linear layers to put adapters beside. Name the layers as "
            "target_modules, or train all weights with trainable=True"
        )
    return names
