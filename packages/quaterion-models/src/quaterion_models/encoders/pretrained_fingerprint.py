"""Fingerprints of pre-trained encoders, and the trunk of one that is trained in part."""

from __future__ import annotations

import importlib.metadata
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

import torch

from quaterion_models.content_key import content_key
from quaterion_models.encoders.encoder import Encoder
from quaterion_models.encoders.partly_trained import PartlyTrained
from quaterion_models.encoders.pretrained_files import is_weights
from quaterion_models.encoders.token_states import RaggedStates

if TYPE_CHECKING:
    from quaterion_models.encoders.pretrained_encoder import PretrainedEncoder

Digests = list[tuple[str, str]]
"""Relative path and digest of each file of a model."""

_OURS = f"{__name__.partition('.')[0]}."
# What a fingerprint covers in a way of its own, or what does not change the vectors.
_OWN = frozenset(
    {"settings", "folder", "model", "_device", "_trainable", "_frozen", "_size", "collate_fn"}
    | {"_files", "_partly", "gradient_checkpointing"}
)
_LAYERS = "trainable_layers"
_ABOVE_TRUNK = frozenset({_LAYERS, "normalize", "pooling"})
"""Settings that do not change the states below the trained layers."""


def pretrained_fingerprint(encoder: PretrainedEncoder, files: Digests, loaded: Digests | None) -> str:
    """Digests what the vectors of an encoder depend on.

    Args:
        encoder: The encoder.
        files: Its model's files.
        loaded: Those that the weights were read from; None where they were not.

    Returns:
        32 hexadecimal digits.

    Raises:
        TypeError: If something that a subclass adds cannot be hashed.
    """
    # What is frozen as a whole keeps the fingerprint that it had before there was such a setting.
    settings = {name: value for name, value in encoder.settings.items() if value or name != _LAYERS}
    content = [*_described(encoder, settings), files]
    if encoder.trainable:
        content.append({name: tensor.detach() for name, tensor in encoder.model.state_dict().items()})
        if files != loaded:  # the configuration is still the old one
            content.append(loaded)
    beyond = _beyond(encoder)
    if beyond:
        content.append(beyond)
    return blake2b(content_key(content), digest_size=16, person=b"pretrained").hexdigest()


class PretrainedTrunk:
    """The trunk of a pre-trained encoder.

    Args:
        encoder: The encoder.
        partly: Its divided model.
    """

    def __init__(self, encoder: PretrainedEncoder, partly: PartlyTrained) -> None:
        self._encoder, self._partly = encoder, partly

    @property
    def width(self) -> int:
        """Length of a token's state."""
        return self._partly.width

    def fingerprint(self) -> str:
        """Digests what the states below the trained layers depend on: the same before and after a training.

        Returns:
            32 hexadecimal digits.

        Raises:
            TypeError: If something that a subclass adds cannot be hashed.
        """
        encoder, partly = self._encoder, self._partly
        settings = {name: value for name, value in encoder.settings.items() if name not in _ABOVE_TRUNK}
        # Saved models have other files for the same frozen weights, so that these are digested themselves.
        now, loaded = (
            [(name, digest) for name, digest in files or [] if not is_weights(name)] for files in encoder.digest_files()
        )
        content = ["trunk", *_described(encoder, settings), [now] if now == loaded else [now, loaded]]
        content += [partly.split.lower, partly.digest(), _beyond(encoder)]
        return blake2b(content_key(content), digest_size=16, person=b"trunk").hexdigest()

    @torch.no_grad()
    def __call__(self, batch: Any) -> RaggedStates:
        """Computes the states of a batch's tokens."""
        return self._partly.states(self._encoder.embed, batch)


def _described(encoder: PretrainedEncoder, settings: dict[str, Any]) -> list[Any]:
    versions = [_major(name) for name in encoder.DISTRIBUTIONS]
    return [_ready_made(encoder).__name__, encoder.ALGORITHM, settings, str(encoder.module_dtype), versions]


def _beyond(encoder: PretrainedEncoder) -> str:
    """Digests what a subclass or the user has added."""
    from quaterion_models.fingerprint import digest_beyond

    return digest_beyond(encoder, _ready_made(encoder), _OWN)


def _ready_made(encoder: PretrainedEncoder) -> type[Encoder]:
    return next(cls for cls in type(encoder).__mro__ if cls.__module__.startswith(_OURS))


def _major(distribution: str) -> str:
    try:
        return importlib.metadata.version(distribution).partition(".")[0]
    except importlib.metadata.PackageNotFoundError:
        return ""
