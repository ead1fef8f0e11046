"""Model folders of Quaterion 0.1 made into folders of today's format."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import nn

from quaterion_models.encoders.encoder import Encoder
from quaterion_models.heads.encoder_head import EncoderHead
from quaterion_models.saving.encoder_folder import load_any_encoder
from quaterion_models.saving.files import ModelFolderError
from quaterion_models.saving.old_folder import OldFolder, read_old_folder
from quaterion_models.saving.old_heads import read_old_head


@dataclass(frozen=True, kw_only=True)
class ConvertedPart:
    """What became of an encoder or of the head.

    Args:
        name: `"encoder 'default'"` or `"head"`.
        kind: Its class, as the old folder names it.
        problem: Why it could not be converted; empty where it could.
    """

    name: str
    kind: str
    problem: str = ""


@dataclass(frozen=True, kw_only=True)
class Conversion:
    """What became of a folder.

    Args:
        parts: Encoders and head.
    """

    parts: tuple[ConvertedPart, ...]

    @property
    def complete(self) -> bool:
        """Whether every part was converted; only then there is a new folder."""
        return not any(part.problem for part in self.parts)


def convert_model(
    old: str | os.PathLike[str],
    new: str | os.PathLike[str],
    *,
    classes: Sequence[type[nn.Module]] = (),
    encoders: Mapping[str, Encoder] | None = None,
    head: EncoderHead | None = None,
) -> Conversion:
    """Reads a folder that Quaterion 0.1 saved, and writes it in today's format where all of it could be read.

    No module is imported by a name in the old folder, and weights are read as tensors only. The library's own heads
    are known. An encoder of 0.1 was always a program's own class: it is looked up in `classes` and among the modules
    that are already imported, and reads its folder with its own `load`.

    Args:
        old: The old folder; it stays as it is.
        new: Where to write the new one.
        classes: Classes of your own that the old folder names.
        encoders: Built encoders by name, instead of those that cannot be read.
        head: A built head, instead of one that cannot be read.

    Returns:
        What became of each part.

    Raises:
        ModelFolderError: If `old` is no such folder, is damaged or leads out of itself, or `new` holds something else
            than a model.
    """
    from quaterion_models.model import SimilarityModel
    from quaterion_models.saving.model_folder import save_model

    folder = read_old_folder(Path(old))
    given = dict(encoders or {})
    unknown = [key for key in given if key not in folder.encoders]
    if unknown:
        raise ModelFolderError(f"encoders= names {unknown}, but {old} has the encoders {list(folder.encoders)}")
    parts: list[ConvertedPart] = []
    read: dict[str, Encoder] = {}
    for key, kind in folder.encoders.items():
        problem = ""
        try:
            read[key] = given[key] if key in given else _read_encoder(folder, key, classes)
        except ModelFolderError as error:
            problem = str(error)
        parts.append(ConvertedPart(name=f"encoder {key!r}", kind=kind.type_name, problem=problem))
    problem = ""
    try:
        head = read_old_head(folder, classes) if head is None else head
    except ModelFolderError as error:
        problem = str(error)
    parts.append(ConvertedPart(name="head", kind=folder.head.type_name, problem=problem))
    conversion = Conversion(parts=tuple(parts))
    if conversion.complete:
        save_model(SimilarityModel(read, head), Path(new))
    return conversion


def _read_encoder(old: OldFolder, key: str, classes: Sequence[type]) -> Encoder:
    kind = old.encoders[key]
    if kind.is_built_in:
        raise ModelFolderError(
            f"{kind.name} of Quaterion 0.1 was saved in a way that is not read. Build the encoder here and pass it as "
            "encoders={its name: the encoder} to quaterion_models.saving.convert.convert_model"
        )
    try:
        return load_any_encoder(kind.type_name, old.encoder_path(key), classes, where=f"the encoder {key!r}")
    except ModelFolderError:
        raise
    except Exception as error:  # whatever the load of a program's own class raises
        raise ModelFolderError(f"{kind.name}.load failed: {type(error).__name__}: {error}") from error
