"""Low-rank adapters (LoRA) in a pre-trained model, by the library peft: put in, taken out, merged."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

import torch
from torch import nn

from quaterion_models.encoders.model_layers import named_layers, transformers_models
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
_BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)
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
    gets none. Beside weights of half precision adapters are in float32: their steps are too small for less.

    Args:
        model: A pre-trained model.
        settings: As `lora_settings` returns them.

    Raises:
        ValueError: If the model has no such layers.
        ImportError: If peft is not installed.
    """
    peft = require("peft", extra=EXTRA)
    backbone = adapted_part(model)
    options = {name: value for name, value in settings.items() if name != "layers_to_transform"}
    options["target_modules"] = _places(backbone, settings)
    model.requires_grad_(False)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings(
                "ignore", ".*fan_in_fan_out"
            )  # peft finds out by itself that GPT-2 is the other way
            peft.inject_adapter_in_model(peft.LoraConfig(**options), backbone)
    except ValueError as error:
        raise ValueError(f"lora does not fit {type(backbone).__name__}: {error}") from error
    for parameter in model.parameters():
        if parameter.requires_grad and parameter.dtype in {torch.float16, torch.bfloat16}:
            parameter.data = parameter.data.float()


def keep_statistics(model: nn.Module) -> None:
    """Puts batch normalization into eval mode: its statistics belong to the weights, which are frozen.

    Args:
        model: A model with adapters.
    """
    for layer in model.modules():
        if isinstance(layer, _BATCH_NORMS):
            layer.eval()


def remove_adapters(model: nn.Module, *, merge: bool) -> None:
    """Makes a model what it was before `add_adapters`, in place.

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
    for name, kind in (("target_modules", str), ("layers_to_transform", int)):
        value = settings.get(name)
        if isinstance(value, list) and not (value and all(type(one) is kind for one in value)):
            raise TypeError(f"lora: {name} must hold one {kind.__name__} or more, got {value!r:.100}")
    if isinstance(settings["target_modules"], str) and settings["target_modules"] != ALL_LINEAR:
        raise ValueError(
            f"lora: target_modules must be {ALL_LINEAR!r} or a list of names, got {settings['target_modules']!r:.100}"
        )
    if settings.get("init_lora_weights", True) not in _INITIAL:
        raise ValueError(
            f"lora: init_lora_weights must be one of {list(_INITIAL)}, got {settings['init_lora_weights']!r:.100}"
        )


def without_frozen(state: dict[str, Any], module: nn.Module, prefix: str) -> dict[str, Any]:
    """Leaves the frozen weights beside adapters out of a state: they are in files.

    Args:
        state: State of the module, which is changed.
        module: A module with adapters, which may be frozen too.
        prefix: What its names begin with in the state.

    Returns:
        The state.
    """
    for name in _beside_adapters(module):
        state.pop(prefix + name, None)
    return state


def add_frozen(state: dict[str, Any], module: nn.Module, prefix: str) -> None:
    """Adds to a state what `without_frozen` left out of it, as the module has it.

    Args:
        state: State of the module, which is changed.
        module: A module with adapters.
        prefix: What its names begin with in the state.
    """
    for name, weight in _beside_adapters(module).items():
        state.setdefault(prefix + name, weight)


def _beside_adapters(module: nn.Module) -> dict[str, nn.Parameter]:
    return {name: one for name, one in module.named_parameters() if not one.requires_grad and ".lora_" not in name}


def _places(backbone: nn.Module, settings: Mapping[str, Any]) -> list[str]:
    """Names of all modules that get adapters: exact ones, for which peft would not look at the number of the layer."""
    targets, numbers = settings["target_modules"], settings.get("layers_to_transform")
    if targets == ALL_LINEAR:
        names = _linear_layers(backbone)
    else:
        endings = tuple(f".{target}" for target in targets)
        named = [(name, module) for name, module in backbone.named_modules() if f".{name}".endswith(endings)]
        # What is frozen before is what the vectors do not depend on, such as a pooler.
        names = [name for name, module in named if any(one.requires_grad for one in module.parameters())]
    # torch's own attention takes the weights of its layers and does not call them: adapters would do nothing.
    passed_by = [f"{name}." for name, module in backbone.named_modules() if isinstance(module, nn.MultiheadAttention)]
    names = [name for name in names if not name.startswith(tuple(passed_by))]
    if numbers is not None:
        wanted = {numbers} if isinstance(numbers, int) else set(numbers)
        place, count = named_layers(backbone)
        if not wanted <= set(range(count)):
            raise ValueError(
                f"lora: layers_to_transform is {numbers}, but the {type(backbone).__name__} has {count} layers. "
                f"Expected numbers from 0 to {count - 1}"
            )
        names = [name for name in names if name.startswith(tuple(f"{place}.{number}." for number in wanted))]
    if not names:
        within = "" if numbers is None else f" in its layers {numbers}"
        raise ValueError(
            f"lora does not fit {type(backbone).__name__}: no module{within} has one of the names {targets}. Name "
            "linear layers of the model, as model.named_modules() lists them"
        )
    return names


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
