"""Pre-trained encoders as the files of their model and their settings."""

from __future__ import annotations

import copy
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import torch

from quaterion_models.encoders.encoder import Encoder
from quaterion_models.encoders.lora import remove_adapters
from quaterion_models.encoders.pretrained_encoder import PretrainedEncoder
from quaterion_models.encoders.pretrained_files import PICKLES, check_there
from quaterion_models.saving.adapters import check_adapters, read_adapters, write_adapters
from quaterion_models.saving.files import (
    ENCODER_CONFIG,
    FORMAT_VERSION,
    ModelFolderError,
    check_inside,
    check_version,
    field,
    read_json,
    state_shapes,
    write_json,
)
from quaterion_models.saving.registry import type_name

_MODEL = "model"
_ADAPTERS = "adapters"
LAYERS = "trainable_layers"
_OF_ALL: dict[str, type | tuple[type, ...]] = {
    "trainable": bool,
    "dtype": (str, type(None)),
    "normalize": bool,
    "lora": dict,
    "gradient_checkpointing": bool,
}
_CASTS = {"float16": torch.float16, "bfloat16": torch.bfloat16, "float32": torch.float32, "float64": torch.float64}

_P = TypeVar("_P", bound=PretrainedEncoder)
_E = TypeVar("_E", bound=Encoder)


def save_pretrained(
    encoder: PretrainedEncoder, path: Path, *, model: Any = None, saved_as: type[Encoder] | None = None
) -> None:
    """Writes an encoder: its model's files as they are, or its trained weights as safetensors, and its settings.

    Args:
        encoder: The encoder.
        path: The folder; made where it does not exist.
        model: What to write in the place of the encoder's own model, for one that is a part of another encoder.
        saved_as: The class to name in the place of the encoder's.

    Raises:
        ModelFolderError: If weights would be written over those that the encoder was read from.
        ValueError: If the encoder's own files are no longer there.
    """
    check_there(encoder.folder)
    target = path / _MODEL
    target.mkdir(parents=True, exist_ok=True)
    files = encoder.model_files(encoder.folder)
    trained = encoder.trainable and not encoder.has_adapters
    if trained or any(file.suffix in PICKLES for file in files):
        if target.samefile(encoder.folder):
            raise ModelFolderError(
                f"{target} holds the files that this encoder was read from, so its weights are not written over them. "
                "Choose another path, or save the whole model, which replaces its folder in one step"
            )
        whole = encoder.loaded() if model is None else model
        encoder.write_model(_without_adapters(whole) if encoder.has_adapters else whole, target)
    else:
        for file in files:
            copy = target / file.relative_to(encoder.folder)
            copy.parent.mkdir(parents=True, exist_ok=True)
            if not copy.exists() or not copy.samefile(file):
                shutil.copyfile(file, copy)
    if encoder.has_adapters:
        write_adapters([encoder.model] if model is None else model, encoder.settings["lora"], path / _ADAPTERS)
    content: dict[str, Any] = {
        "format_version": FORMAT_VERSION,
        "type": type_name(saved_as or type(encoder)),
        "args": {
            "trainable": encoder.trainable,
            # A setting that came later: folders of encoders without it are what they always were.
            **{name: value for name, value in encoder.settings.items() if value is not None or name != LAYERS},
        },
    }
    if encoder.gradient_checkpointing:
        content["args"]["gradient_checkpointing"] = True
    if encoder.module_dtype != torch.float32:
        content["cast"] = str(encoder.module_dtype).removeprefix("torch.")
    write_json(path / ENCODER_CONFIG, content)


def load_pretrained(kind: type[PretrainedEncoder], path: Path, *, build: Callable[..., _E]) -> _E:
    """Builds an encoder from a folder that `save_pretrained` wrote.

    Args:
        kind: Class of the encoder that was saved.
        path: The folder.
        build: Its class, or that of the encoder that it stood for as `saved_as`: called with the folder of its model,
            and with its settings by name.

    Returns:
        The encoder, on the CPU.

    Raises:
        ModelFolderError: If a file is missing or damaged, could run code, or leads out of the folder.
    """
    check_inside(path, path)
    config = path / ENCODER_CONFIG
    content = read_json(config)
    check_version(content, config)
    saved = field(content, "args", dict, config)
    kinds = {**_OF_ALL, **kind.SETTINGS}
    unknown = sorted(saved.keys() - kinds.keys())
    if unknown:
        raise ModelFolderError(
            f"{config} has the settings {unknown}, which this {kind.__name__} does not know. "
            "Install a newer version: pip install --upgrade quaterion-models"
        )
    # A setting that is missing came after the folder was saved: its default is what the encoder did before.
    options = {name: field(saved, name, kinds[name], config) for name in saved}
    cast = field(content, "cast", str, config) if "cast" in content else "float32"
    if cast not in _CASTS:
        raise ModelFolderError(f"{config}: 'cast' must be one of {list(_CASTS)}, it is {cast!r:.100}")
    model, adapters = path / _MODEL, path / _ADAPTERS
    _check_files(model)
    if "lora" in options:
        _check_files(adapters)
        check_adapters(options["lora"], adapters)
    try:
        kind.check_folder(model)
        kind.check_sizes(model)
        encoder = build(str(model), **options)
    except ModelFolderError:
        raise
    except (ValueError, TypeError) as error:
        raise ModelFolderError(f"{config}: {error}") from error
    if "lora" in options:
        parts = [part.model for part in encoder.modules() if isinstance(part, PretrainedEncoder)]
        read_adapters(parts, adapters)
    # Weights that were asked for in half precision are so in a module of float32, too.
    return encoder if cast == "float32" else encoder.to(_CASTS[cast])


def frozen_copy(encoder: _P, folder: Path) -> _P:
    """Writes a trained encoder's model, with its adapters merged, and opens it as a frozen one.

    Args:
        encoder: The encoder, which stays as it is.
        folder: Where to; made where it does not exist.

    Returns:
        The copy.

    Raises:
        ModelFolderError: If the folder holds files already.
    """
    if folder.is_dir() and any(folder.iterdir()):
        raise ModelFolderError(f"{folder} holds files. Choose a folder that is empty or not there")
    folder.mkdir(parents=True, exist_ok=True)
    merged = copy.deepcopy(encoder)
    merged.merge_adapters()
    merged.write_model(merged.loaded(), folder)
    settings: dict[str, Any] = {**merged.settings}
    settings.pop(LAYERS, None)
    return type(encoder)(str(folder), **settings).to(encoder.module_dtype)


def _without_adapters(model: Any) -> Any:
    """The model, or each of several, as it was before adapters were put in."""
    if isinstance(model, list):
        return [_without_adapters(one) for one in model]
    plain = copy.deepcopy(model)
    remove_adapters(plain, merge=False)
    return plain


def _check_files(model: Path) -> None:
    if not model.is_dir():
        raise ModelFolderError(f"{model} is missing: this is no complete model folder. Save the model again")
    foreign = [str(file) for file in model.rglob("*") if file.suffix.lower() in PICKLES]
    if foreign:
        raise ModelFolderError(f"{foreign} could hold code: a saved encoder has its weights as safetensors only")
    for weights in model.rglob("*.safetensors"):
        state_shapes(weights)  # a truncated file is named here, not at the first forward
