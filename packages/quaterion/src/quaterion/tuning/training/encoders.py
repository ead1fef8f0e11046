"""The encoders that `tune` is given: by name, by folder, or built; each on its own and all joined."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from quaterion_models import SimilarityModel
from quaterion_models.encoders import Encoder
from quaterion_models.network import DEFAULT_ENCODER_KEY
from quaterion_models.saving.files import CONFIG, ModelFolderError

__all__ = ["DEFAULT_ENCODER", "EncoderChoice", "encoder_choices"]

DEFAULT_ENCODER = "sentence-transformers/all-MiniLM-L6-v2"


@dataclass(frozen=True)
class EncoderChoice:
    """Encoders whose joined vectors heads learn from.

    Args:
        name: What tables call them.
        encoders: The encoders by name, frozen.
        source: The name or folder that gives them, one for each encoder; None where they were passed as objects.
    """

    name: str
    encoders: dict[str, Encoder]
    source: tuple[str, ...] | None


def encoder_choices(given: Any, *, images: bool) -> list[EncoderChoice]:
    """Builds encoders.

    Args:
        given: A name or folder of a pre-trained model, the folder of a saved `SimilarityModel` (whose encoders are
            taken), an `Encoder`, a dictionary of encoders that are joined, or a list of all that.
        images: Whether the objects are files of images.

    Returns:
        One choice for each, and where there are several, one of all joined.

    Raises:
        TypeError: It is something else.
        ValueError: There is no such model, two encoders have one name, or images are to be encoded as texts.
    """
    if images and given == DEFAULT_ENCODER:
        raise ValueError(
            "The data is a folder of images, and the default encoder is one of texts. Name an encoder of images "
            "(--encoder), such as facebook/dinov2-small."
        )
    several = list(given) if isinstance(given, Sequence) and not isinstance(given, str) else [given]
    if not several:
        raise ValueError("encoder=[] holds no encoder; expected one or more.")
    choices = [_choice(one, images) for one in several]
    names = [choice.name for choice in choices]
    if len(set(names)) < len(names):
        raise ValueError(f"Two encoders have one name: {', '.join(names)}. Give each of them once.")
    if len(choices) > 1:
        joined = {
            f"{choice.name}/{key}" if len(choice.encoders) > 1 else choice.name: encoder
            for choice in choices
            for key, encoder in choice.encoders.items()
        }
        sources = [choice.source for choice in choices]
        source = None if None in sources else tuple(one for some in sources for one in some or ())
        choices.append(EncoderChoice(" + ".join(names), joined, source))
    return choices


def _choice(given: Any, images: bool) -> EncoderChoice:
    if isinstance(given, Encoder):
        return EncoderChoice(type(given).__name__, {DEFAULT_ENCODER_KEY: given}, None)
    if isinstance(given, Mapping) and all(isinstance(one, Encoder) for one in given.values()):
        return EncoderChoice(" + ".join(map(str, given)), dict(given), None)
    if not isinstance(given, str | os.PathLike):
        raise TypeError(
            f"encoder is a {type(given).__name__}; expected the name or folder of a pre-trained model, an Encoder, a "
            "dictionary of encoders, or a list of them."
        )
    name = os.fspath(given)
    return EncoderChoice(Path(name).name, _load(name, images), (name,))


def _load(name: str, images: bool) -> dict[str, Encoder]:
    folder = Path(name)
    if (folder / CONFIG).is_file() and not (folder / "modules.json").is_file():
        try:
            return SimilarityModel.load(folder).encoders
        except ModelFolderError:
            if (folder / "encoders").is_dir():
                raise  # a damaged model of ours; else a folder of transformers, whose settings have the same name
    if images:
        from quaterion_models.encoders import ImageEncoder

        return {DEFAULT_ENCODER_KEY: ImageEncoder(name)}
    if folder.is_dir() and not (folder / "modules.json").is_file():
        from quaterion_models.encoders import TransformersEncoder

        return {DEFAULT_ENCODER_KEY: TransformersEncoder(name)}
    from quaterion_models.encoders import SentenceTransformerEncoder

    return {DEFAULT_ENCODER_KEY: SentenceTransformerEncoder(local_copy(name))}


def local_copy(name: str) -> str | Path:
    """Where a model lies: that of the default encoder is looked for among the installed packages too.

    Args:
        name: Name or folder of a pre-trained model.
    """
    if name not in {DEFAULT_ENCODER, DEFAULT_ENCODER.rpartition("/")[2]} or Path(name).exists():
        return name
    from quaterion.utils.minilm import find_minilm

    return find_minilm()
