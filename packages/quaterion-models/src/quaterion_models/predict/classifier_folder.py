"""The files of a classifier within the folder of its model.

model/classifier/
    classifier.json          format_version, the model's digest, labels and settings
    classifier.safetensors   examples, float32 [N, D], and groups, int64 [N]; without examples neither
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from torch import nn

from quaterion_models.predict.model_files import load_own_model, model_digest, model_folder, number, read_description
from quaterion_models.saving.arguments import decode_value, encode_value
from quaterion_models.saving.files import (
    CLASSIFIER,
    FORMAT_VERSION,
    ModelFolderError,
    check_inside,
    field,
    read_state,
    stored_tensors,
    write_json,
    write_state,
)
from quaterion_models.saving.new_folder import find_folder, new_folder

if TYPE_CHECKING:
    from quaterion_models.model import SimilarityModel
    from quaterion_models.predict.classifier import Classifier

_C = TypeVar("_C", bound="Classifier")

DESCRIPTION = "classifier.json"
STATE = "classifier.safetensors"


class _Examples(nn.Module):
    """The tensors of a classifier."""

    def __init__(self, examples: torch.Tensor, groups: torch.Tensor) -> None:
        super().__init__()
        self.register_buffer("examples", examples)
        self.register_buffer("groups", groups)

    examples: torch.Tensor
    groups: torch.Tensor


def has_classifier(path: str | os.PathLike[str]) -> bool:
    """Tells whether a model's folder has a classifier in it.

    Args:
        path: The folder.
    """
    return (find_folder(find_folder(Path(path)) / CLASSIFIER) / DESCRIPTION).is_file()


def save_classifier(classifier: Classifier, path: str | os.PathLike[str]) -> None:
    """Writes a classifier, all of it or nothing; see `Classifier.save`.

    Args:
        classifier: The classifier.
        path: The folder of its model.

    Raises:
        ModelFolderError: If it is no model's folder, or the labels cannot be written.
    """
    root = model_folder(Path(path))
    check_inside(root, root / CLASSIFIER)
    try:
        labels = encode_value(classifier.labels)
    except TypeError as error:
        raise ModelFolderError(f"labels must be plain values, such as texts or integers: {error}") from error
    examples, groups = classifier.examples, classifier.groups
    with new_folder(root / CLASSIFIER, is_ours=_is_classifier, ours={DESCRIPTION, STATE}) as folder:
        if examples is not None and groups is not None:
            write_state(_Examples(examples, groups), folder / STATE)
        content = {
            "format_version": FORMAT_VERSION,
            "model": model_digest(root),
            "labels": labels,
            "has_examples": examples is not None,
            **classifier.settings(),
        }
        write_json(folder / DESCRIPTION, content)


def load_classifier(
    cls: type[_C], path: str | os.PathLike[str], *, model: SimilarityModel | None, device: str | torch.device
) -> _C:
    """Reads a classifier; see `Classifier.load`.

    Args:
        cls: The class.
        path: The folder of its model.
        model: The model, where it is loaded already.
        device: Where to put a model that is not.

    Returns:
        The classifier.

    Raises:
        ModelFolderError: If a file is missing, damaged or hostile, of a newer format, or belongs to another model.
    """
    root = model_folder(Path(path))
    folder = find_folder(root / CLASSIFIER)
    file = folder / DESCRIPTION
    content = read_description(root, file, "classifier")
    options: dict[str, Any] = {
        "k": field(content, "k", int, file),
        "temperature": number(content, "temperature", file),
        "method": field(content, "method", str, file),
        "weights_temperature": number(content, "weights_temperature", file),
        "threshold": None if content.get("threshold") is None else number(content, "threshold", file),
    }
    if field(content, "has_examples", bool, file):
        stored = _read_examples(root, folder / STATE)
        options |= {"examples": stored.examples, "groups": stored.groups}
    loaded = load_own_model(root, model, device)
    try:
        return cls(loaded, decode_value(field(content, "labels", list, file)), **options)
    except (ValueError, RecursionError) as error:
        raise ModelFolderError(f"{file}: {error}") from error


def _read_examples(root: Path, path: Path) -> _Examples:
    check_inside(root, path)
    # Sizes come from the file itself, so that nothing larger than the file is ever allocated.
    shapes = {name: tensor.shape for name, tensor in stored_tensors(path).items()}
    stored = _Examples(
        torch.zeros(shapes.get("examples", ()), device="cpu"),
        torch.zeros(shapes.get("groups", ()), dtype=torch.int64, device="cpu"),
    )
    read_state(stored, path)
    return stored


def _is_classifier(folder: Path) -> bool:
    return (folder / DESCRIPTION).is_file()
