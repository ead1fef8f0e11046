"""What predictions keep in the folder of their model, and whether it is still the model that they were made with."""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from quaterion_models.file_digest import file_digest
from quaterion_models.saving.files import (
    CLASSES_STATE,
    CONFIG,
    ENCODERS,
    HEAD_STATE,
    ModelFolderError,
    check_inside,
    check_version,
    field,
    read_json,
)
from quaterion_models.saving.model_folder import is_model_folder
from quaterion_models.saving.new_folder import find_folder

if TYPE_CHECKING:
    from quaterion_models.model import SimilarityModel


def model_folder(path: Path) -> Path:
    """Finds a model's folder.

    Args:
        path: The folder.

    Returns:
        The folder, or what a crash has left of it.

    Raises:
        ModelFolderError: If it holds no model.
    """
    root = find_folder(path)
    if not is_model_folder(root):
        raise ModelFolderError(f"{path} is no model's folder: save the model there first, with model.save")
    return root


def model_digest(root: Path) -> str:
    """Computes a digest of all files that a saved model consists of, its card aside.

    Args:
        root: The model's folder.

    Returns:
        32 hexadecimal digits.

    Raises:
        ModelFolderError: If a link leads out of the folder.
    """
    hasher = blake2b(digest_size=16)
    for file in _files(root):
        hasher.update(f"{file.relative_to(root).as_posix()}\0{file_digest(file)}\n".encode())
    return hasher.hexdigest()


def read_description(root: Path, file: Path, what: str) -> dict[str, Any]:
    """Reads a JSON file that belongs to a saved model.

    Args:
        root: The model's folder.
        file: The JSON file in it.
        what: What it describes, `"classifier"` or `"matcher"`.

    Returns:
        What it holds.

    Raises:
        ModelFolderError: If it is missing, damaged or hostile, of a newer format, or was made with another model.
    """
    check_inside(root, file)
    if not file.exists():
        raise ModelFolderError(f"{root} has no {what}: {file.relative_to(root)} is missing. Save one with {what}.save")
    content = read_json(file)
    check_version(content, file)
    if field(content, "model", str, file) != model_digest(root):
        raise ModelFolderError(
            f"{file} was made with another model than the one that is in {root} now, so its similarities mean nothing "
            f"here. Remove it and make the {what} again"
        )
    return content


def load_own_model(root: Path, model: SimilarityModel | None, device: str | torch.device) -> SimilarityModel:
    """Loads the model of a folder, unless the caller has it.

    Args:
        root: The folder.
        model: The model, where it is loaded already.
        device: Where to put one that is not.
    """
    from quaterion_models.model import SimilarityModel

    return SimilarityModel.load(root, device=device) if model is None else model


def number(content: dict[str, Any], name: str, file: Path) -> float:
    """Takes a number out of a JSON object.

    Args:
        content: The object.
        name: The number's name.
        file: The file, for messages.

    Raises:
        ModelFolderError: If it is missing, or no number.
    """
    return float(field(content, name, (int, float), file))


def _files(root: Path) -> Iterator[Path]:
    check_inside(root, root / ENCODERS)
    for file in (root / CONFIG, root / HEAD_STATE, root / CLASSES_STATE, *sorted((root / ENCODERS).rglob("*"))):
        check_inside(root, file)
        if file.is_file():
            yield file
