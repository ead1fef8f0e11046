"""The folder of a FieldEncoder: its encoder in a folder of its own, whatever that one's own save writes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

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
    from quaterion_models.encoders.field_encoder import FieldEncoder

    _F = TypeVar("_F", bound=FieldEncoder)

INNER = "encoder"
_STATE_PREFIX = "encoder."


def save_field_encoder(encoder: FieldEncoder, path: Path) -> None:
    """Writes a FieldEncoder: the field, the folder of its encoder, and what state it has beside that.

    Args:
        encoder: The encoder.
        path: The folder; made where it does not exist.
    """
    inner = path / INNER
    inner.mkdir(parents=True, exist_ok=True)
    encoder.encoder.save(str(inner))
    arguments = encoder_arguments(encoder)
    write_state(encoder, path / ENCODER_STATE, without=_STATE_PREFIX)
    write_json(
        path / ENCODER_CONFIG,
        {
            "format_version": FORMAT_VERSION,
            "type": type_name(type(encoder)),
            "args": arguments.values,
            "unrecorded": arguments.unrecorded,
            "encoder": type_name(type(encoder.encoder)),
        },
    )


def load_field_encoder(cls: type[_F], path: Path, *, classes: Sequence[type] = ()) -> _F:
    """Builds a FieldEncoder from its folder.

    Args:
        cls: Its class. Where its constructor takes `encoder`, it gets the loaded one; where it makes one itself, the
            loaded one is put in its place.
        path: The folder.
        classes: Classes of the caller's own for the field's encoder.

    Returns:
        The encoder.

    Raises:
        ModelFolderError: If a file is missing, damaged or not understood.
    """
    content = _content(path)
    config = path / ENCODER_CONFIG
    kind = field(content, "encoder", str, config)
    inner = load_any_encoder(kind, path / INNER, classes, where=f"{config}, encoder of the field")
    takes_encoder = "encoder" in field(content, "unrecorded", dict, config)
    encoder = build_encoder(cls, path, **({"encoder": inner} if takes_encoder else {}))
    encoder.encoder = inner
    read_state(encoder, path / ENCODER_STATE, without=_STATE_PREFIX)
    return encoder


def load_field_state(encoder: FieldEncoder, path: Path) -> None:
    """Reads the state of a FieldEncoder that the caller has built.

    Args:
        encoder: The encoder.
        path: Its folder.

    Raises:
        ModelFolderError: If a file is missing or damaged, or does not fit.
    """
    _content(path)
    load_encoder_state(encoder.encoder, path / INNER)
    read_state(encoder, path / ENCODER_STATE, without=_STATE_PREFIX)


def _content(path: Path) -> dict[str, Any]:
    check_inside(path, path)
    content = read_json(path / ENCODER_CONFIG)
    check_version(content, path / ENCODER_CONFIG)
    return content
