"""Encoders as recorded constructor arguments and a state: what `Encoder.save` does unless it is overridden."""

from __future__ import annotations

import inspect
import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any, TypeVar

import torch

from quaterion_models.encoders.encoder import Encoder
from quaterion_models.saving.allocation_limit import AllocationLimit, AllocationLimitError
from quaterion_models.saving.arguments import Arguments, build, decode_arguments, recorded_arguments
from quaterion_models.saving.files import (
    ENCODER_CONFIG,
    ENCODER_STATE,
    FORMAT_VERSION,
    ModelFolderError,
    check_inside,
    check_version,
    field,
    read_json,
    read_state,
    state_shapes,
    write_json,
    write_state,
)
from quaterion_models.saving.registry import find_type, type_name

_E = TypeVar("_E", bound=Encoder)


def encoder_arguments(encoder: Encoder) -> Arguments:
    """Returns an encoder's recorded constructor arguments; empty ones where its class bypasses the recording."""
    return recorded_arguments(encoder) or Arguments({}, {})


def save_encoder(encoder: Encoder, path: Path, **entries: Any) -> None:
    """Writes an encoder's state and constructor arguments; see `Encoder.save`.

    Args:
        encoder: The encoder.
        path: The folder; made where it does not exist.
        **entries: Further entries of the JSON file.
    """
    path.mkdir(parents=True, exist_ok=True)
    arguments = encoder_arguments(encoder)
    write_state(encoder, path / ENCODER_STATE)
    write_json(
        path / ENCODER_CONFIG,
        {
            "format_version": FORMAT_VERSION,
            "type": type_name(type(encoder)),
            "args": arguments.values,
            "unrecorded": arguments.unrecorded,
            **entries,
        },
    )


def load_encoder(cls: type[_E], path: Path, **given: Any) -> _E:
    """Builds an encoder from its recorded arguments and reads its state; see `Encoder.load`.

    Args:
        cls: The encoder's class.
        path: The folder.
        **given: Values of constructor arguments that could not be recorded.

    Returns:
        The encoder.

    Raises:
        ModelFolderError: If a file is missing or damaged, or an argument could not be recorded and is not given.
    """
    encoder = build_encoder(cls, path, **given)
    read_state(encoder, path / ENCODER_STATE)
    return encoder


def build_encoder(cls: type[_E], path: Path, **given: Any) -> _E:
    """Builds an encoder from its recorded arguments, without its state."""
    config, state = path / ENCODER_CONFIG, path / ENCODER_STATE
    check_inside(path, path)
    content = read_json(config)
    check_version(content, config)
    missing = {name: kind for name, kind in field(content, "unrecorded", dict, config).items() if name not in given}
    if missing:
        raise ModelFolderError(
            f"{config}: these constructor arguments of {cls.__name__} could not be saved: {missing}. Build the encoder "
            "and pass it to SimilarityModel.load as encoders={its name: the encoder}; its state is read from the folder"
        )
    arguments = field(content, "args", dict, config)
    stored = sum(math.prod(shape) for shape in state_shapes(state).values())
    try:
        # On the CPU, whatever the default device is, and without drawing from the caller's random numbers.
        with torch.random.fork_rng(devices=[]), torch.device("cpu"), AllocationLimit(stored):
            return build(cls, decode_arguments(arguments) | given)
    except ModelFolderError:
        raise
    except AllocationLimitError as error:
        raise ModelFolderError(
            f"{config}: {cls.__name__} is not built from its saved arguments: {error}. If that is right, build the "
            "encoder and pass it to SimilarityModel.load as encoders={its name: the encoder}"
        ) from error
    except Exception as error:  # whatever a constructor raises
        raise ModelFolderError(
            f"{config}: {cls.__name__} cannot be built from its saved arguments: {type(error).__name__}: {error}"
        ) from error


def load_any_encoder(name: str, path: Path, classes: Iterable[type], *, where: str) -> Encoder:
    """Finds an encoder's class and lets it load a folder.

    Args:
        name: The saved type name.
        path: The encoder's folder.
        classes: Classes of the caller's own.
        where: File and entry, for messages.

    Returns:
        The encoder.

    Raises:
        ModelFolderError: If the class is not found or the folder is damaged.
    """
    classes = tuple(classes)
    cls = find_type(name, Encoder, classes, where=where)  # type: ignore[type-abstract]
    if not path.is_dir():
        raise ModelFolderError(f"{path} is missing: this is no complete model folder. Save the model again")
    check_inside(path, path)
    # An encoder of encoders needs the classes for its parts; one written for an older interface does not know them.
    options: dict[str, Any] = {}
    if "classes" in inspect.signature(cls.load).parameters:
        options["classes"] = classes
    try:
        encoder = cls.load(str(path), **options)
    except RecursionError as error:
        raise ModelFolderError(f"{where}: encoders lie too deeply within encoders") from error
    if not isinstance(encoder, Encoder):
        raise ModelFolderError(f"{where}: {cls.__name__}.load returned {type(encoder).__name__}, expected an Encoder")
    return encoder


def load_encoder_state(encoder: Encoder, path: Path) -> None:
    """Reads the state of an encoder that the caller has built.

    Args:
        encoder: The encoder.
        path: Its folder. Where its class saves itself in a way of its own, there is nothing to read, and the encoder
            stays as it is.

    Raises:
        ModelFolderError: If the state is damaged or does not fit.
    """
    from quaterion_models.encoders.callable_encoder import CallableEncoder
    from quaterion_models.encoders.field_encoder import FieldEncoder
    from quaterion_models.encoders.switch_encoder import SwitchEncoder
    from quaterion_models.saving.callable_folder import check_callable_encoder
    from quaterion_models.saving.field_folder import load_field_state
    from quaterion_models.saving.switch_folder import load_switch_state

    check_inside(path, path)
    if isinstance(encoder, SwitchEncoder) and type(encoder).save is SwitchEncoder.save:
        load_switch_state(encoder, path)
    elif isinstance(encoder, FieldEncoder) and type(encoder).save is FieldEncoder.save:
        load_field_state(encoder, path)
    elif isinstance(encoder, CallableEncoder) and type(encoder).save is CallableEncoder.save:
        check_callable_encoder(encoder, path)
    elif (path / ENCODER_STATE).exists() or type(encoder).save is Encoder.save:
        read_state(encoder, path / ENCODER_STATE)
