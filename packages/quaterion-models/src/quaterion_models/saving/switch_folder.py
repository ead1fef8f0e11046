"""The folder of a SwitchEncoder: one folder for each option, whatever that option's own save writes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from quaterion_models.names import folder_names
from quaterion_models.saving.encoder_folder import (
    build_encoder,
    encoder_arguments,
    load_any_encoder,
    load_encoder_state,
)
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
    write_json,
    write_state,
)
from quaterion_models.saving.registry import type_name

if TYPE_CHECKING:
    from quaterion_models.encoders.switch_encoder import SwitchEncoder

    _S = TypeVar("_S", bound=SwitchEncoder)

OPTIONS = "options"
_STATE_PREFIX = "_options."
_MOST_OPTIONS = 256


def save_switch_encoder(encoder: SwitchEncoder, path: Path) -> None:
    """Writes a SwitchEncoder: its options in folders of their own, and what state it has beside them.

    Args:
        encoder: The encoder.
        path: The folder; made where it does not exist.
    """
    path.mkdir(parents=True, exist_ok=True)
    arguments = encoder_arguments(encoder)
    entries = []
    for key, name in folder_names(encoder.options).items():
        folder = path / OPTIONS / name
        folder.mkdir(parents=True, exist_ok=True)
        encoder.options[key].save(str(folder))
        entries.append({"key": key, "type": type_name(type(encoder.options[key]))})
    write_state(encoder, path / ENCODER_STATE, without=_STATE_PREFIX)
    write_json(
        path / ENCODER_CONFIG,
        {
            "format_version": FORMAT_VERSION,
            "type": type_name(type(encoder)),
            "args": arguments.values,
            "unrecorded": arguments.unrecorded,
            "options": entries,
        },
    )


def load_switch_encoder(cls: type[_S], path: Path, *, classes: Sequence[type] = ()) -> _S:
    """Builds a SwitchEncoder from its folder.

    Args:
        cls: Its class. Where its constructor takes `options`, it gets the loaded ones; where it makes them itself, they
            are put in the place of those.
        path: The folder.
        classes: Classes of the caller's own for the options.

    Returns:
        The encoder.

    Raises:
        ModelFolderError: If a file is missing, damaged or not understood.
    """
    check_inside(path, path)
    options = {
        key: load_any_encoder(kind, folder, classes, where=f"{path / ENCODER_CONFIG}, option {key!r}")
        for key, kind, folder in _entries(path)
    }
    config = path / ENCODER_CONFIG
    takes_options = "options" in field(read_json(config), "unrecorded", dict, config)
    encoder = build_encoder(cls, path, **({"options": options} if takes_options else {}))
    if encoder.options.keys() != options.keys():
        raise ModelFolderError(f"{path} has the options {list(options)}, {cls.__name__} makes {list(encoder.options)}")
    encoder.set_options(options)
    read_state(encoder, path / ENCODER_STATE, without=_STATE_PREFIX)
    return encoder


def load_switch_state(encoder: SwitchEncoder, path: Path) -> None:
    """Reads the state of a SwitchEncoder that the caller has built.

    Args:
        encoder: The encoder.
        path: Its folder.

    Raises:
        ModelFolderError: If the options differ, or a state is damaged or does not fit.
    """
    folders = {key: folder for key, _, folder in _entries(path)}
    if encoder.options.keys() != folders.keys():
        raise ModelFolderError(f"{path} has the options {list(folders)}, the encoder given has {list(encoder.options)}")
    for key, option in encoder.options.items():
        load_encoder_state(option, folders[key])
    read_state(encoder, path / ENCODER_STATE, without=_STATE_PREFIX)


def _entries(path: Path) -> list[tuple[str, str, Path]]:
    """Reads the options' names, types and folders."""
    config = path / ENCODER_CONFIG
    content = read_json(config)
    check_version(content, config)
    entries = field(content, "options", list, config)
    if not 1 <= len(entries) <= _MOST_OPTIONS or not all(isinstance(entry, dict) for entry in entries):
        raise ModelFolderError(f"{config} must list 1 to {_MOST_OPTIONS} options, each described by a dict")
    kinds = {field(entry, "key", str, config): field(entry, "type", str, config) for entry in entries}
    if len(kinds) != len(entries):
        raise ModelFolderError(f"{config} lists an option twice")
    return [(key, kinds[key], path / OPTIONS / name) for key, name in folder_names(kinds).items()]
