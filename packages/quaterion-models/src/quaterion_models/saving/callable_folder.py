"""The folder of a CallableEncoder: what its vectors are kept under, and nothing that could run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from quaterion_models.saving.encoder_folder import load_encoder, save_encoder
from quaterion_models.saving.files import (
    ENCODER_CONFIG,
    ModelFolderError,
    check_inside,
    check_version,
    field,
    read_json,
)

if TYPE_CHECKING:
    from quaterion_models.encoders.callable_encoder import CallableEncoder

    _C = TypeVar("_C", bound=CallableEncoder)

_FUNCTION = "function"


def save_callable_encoder(encoder: CallableEncoder, path: Path) -> None:
    """Writes an encoder's name, version and size, and the constructor arguments other than the function.

    Args:
        encoder: The encoder.
        path: The folder; made where it does not exist.
    """
    save_encoder(encoder, path, identity=encoder.identity)


def load_callable_encoder(cls: type[_C], path: Path) -> _C:
    """Builds an encoder whose constructor has the function.

    Args:
        cls: Its class.
        path: The folder.

    Returns:
        The encoder.

    Raises:
        ModelFolderError: If the constructor needs the function, or the encoder is another than the saved one.
    """
    check_inside(path, path)
    config = path / ENCODER_CONFIG
    content = read_json(config)
    if _FUNCTION in field(content, "unrecorded", dict, config):
        known = ", ".join(f"{name}={value!r:.80}" for name, value in field(content, "identity", dict, config).items())
        raise ModelFolderError(
            f"{config}: the function of a {cls.__name__} is never saved. Pass the encoder again: "
            f'SimilarityModel.load(folder, encoders={{"its name in the model": {cls.__name__}(function, {known})}})'
        )
    encoder = load_encoder(cls, path)
    check_callable_encoder(encoder, path)
    return encoder


def check_callable_encoder(encoder: CallableEncoder, path: Path) -> None:
    """Checks that an encoder gives the vectors that the saved one gave, as far as its name and version tell.

    Args:
        encoder: The encoder.
        path: The folder of the saved one.

    Raises:
        ModelFolderError: If name, version or size differ.
    """
    config = path / ENCODER_CONFIG
    content = read_json(config)
    check_version(content, config)
    saved = field(content, "identity", dict, config)
    if saved != encoder.identity:
        raise ModelFolderError(
            f"{config}: the model was trained with {saved}, the {type(encoder).__name__} given has "
            f"{encoder.identity}. Give the function of then with its name and version, or train the model again"
        )
