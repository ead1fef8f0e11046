"""The files of model folders that Quaterion 0.1 wrote, read without running what they say.

model/
    config.json        the classes of encoders and head, each by module and name
    encoders/<key>/    what the encoder's own save wrote
    head/              config.json with the constructor's arguments, and weights in torch's format
"""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from quaterion_models.saving.files import CONFIG, ENCODERS, ModelFolderError, check_inside, read_json

HEAD = "head"
_WEIGHTS = {".bin", ".pt", ".pth"}
_MODULE_KEYS = ("module", "__module__", "module_name")
_CLASS_KEYS = ("class", "__class__", "class_name", "name")
_MOST_ENCODERS = 256
_SAFE_TORCH = (2, 6)  # before it, reading with weights_only=True could be made to run code


class OldClass(NamedTuple):
    """A class as an old folder names it.

    Attributes:
        module: Its module.
        name: Its name.
    """

    module: str
    name: str

    @property
    def type_name(self) -> str:
        """The class as `quaterion_models.saving.registry.find_type` wants it."""
        return f"{self.module}:{self.name}"

    @property
    def is_built_in(self) -> bool:
        """Whether it belongs to the library, not to a program that used it."""
        return self.module.partition(".")[0] == "quaterion_models"


class OldFolder(NamedTuple):
    """What an old folder's configuration says.

    Attributes:
        path: The folder.
        encoders: Key to class of each encoder.
        head: Class of the head.
    """

    path: Path
    encoders: dict[str, OldClass]
    head: OldClass

    def encoder_path(self, key: str) -> Path:
        """Where the files of an encoder lie."""
        return self.path / ENCODERS / key

    @property
    def head_path(self) -> Path:
        """Where the files of the head lie."""
        return self.path / HEAD


def is_old_config(content: dict[str, Any]) -> bool:
    """Tells whether a configuration is that of an old folder.

    Args:
        content: What config.json holds.
    """
    encoders = content.get("encoders")
    return (
        isinstance(encoders, dict) and bool(encoders) and all(map(_old_class, [*encoders.values(), content.get(HEAD)]))
    )


def read_old_folder(path: Path) -> OldFolder:
    """Reads the configuration of an old folder.

    Args:
        path: The folder.

    Returns:
        The classes that it names.

    Raises:
        ModelFolderError: If it is no such folder, is damaged, or leads out of itself.
    """
    if not path.is_dir():
        raise ModelFolderError(f"{path} is no folder: expected one that Quaterion 0.1 saved")
    check_inside(path, path)
    config = path / CONFIG
    content = read_json(config)
    if "format_version" in content:
        raise ModelFolderError(f"{path} needs no conversion: SimilarityModel.load reads it as it is")
    if not is_old_config(content):
        raise ModelFolderError(
            f'{config} is not that of a model saved by Quaterion 0.1: expected "encoders", names to modules and '
            'classes, and "head" with a module and a class'
        )
    encoders = content["encoders"]
    if len(encoders) > _MOST_ENCODERS:
        raise ModelFolderError(f"{config} lists {len(encoders)} encoders, expected up to {_MOST_ENCODERS}")
    for key in encoders:
        # The old format used the key itself as the name of the folder.
        if not key or key in {".", ".."} or Path(key).name != key or "\\" in key or "\0" in key:
            raise ModelFolderError(f"{config}: the encoder {key!r} has no name that can be a folder's in {ENCODERS}")
    classes = {key: _old_class(value) for key, value in encoders.items()}
    return OldFolder(path, classes, _old_class(content[HEAD]))  # type: ignore[arg-type]  # is_old_config has seen them


def _old_class(value: Any) -> OldClass | None:
    module: Any
    name: Any
    if isinstance(value, str):
        module, _, name = value.replace(":", ".").rpartition(".")
    elif isinstance(value, dict):
        module = next((value[key] for key in _MODULE_KEYS if key in value), None)
        name = next((value[key] for key in _CLASS_KEYS if key in value), None)
    else:
        return None
    return OldClass(module, name) if isinstance(module, str) and isinstance(name, str) and module and name else None


def read_old_weights(folder: Path) -> dict[str, Tensor]:
    """Reads the weights in an old folder: tensors only, whatever else the file holds.

    Args:
        folder: Folder with one file in torch's format, or with none where there are no weights.

    Returns:
        Names to tensors in the order in which they were saved.

    Raises:
        ModelFolderError: If there are several files, or the file holds something else than tensors.
    """
    files = [entry for entry in sorted(folder.iterdir()) if entry.suffix in _WEIGHTS]
    if not files:
        return {}
    if len(files) > 1:
        raise ModelFolderError(f"{folder} has several files of weights, expected one: {[file.name for file in files]}")
    path = files[0]
    _check_torch()
    _check_archive(path)
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        reason = str(error).strip().partition("\n")[0][:200]
        raise ModelFolderError(
            f"{path} holds other things than tensors, so it is not read: {type(error).__name__}: {reason}"
        ) from error
    if not isinstance(state, dict) or not all(
        isinstance(name, str) and isinstance(tensor, Tensor) for name, tensor in state.items()
    ):
        raise ModelFolderError(f"{path} must hold names and tensors (a state_dict), it holds something else")
    for name, tensor in state.items():
        # A tensor may claim to be larger than what is stored of it.
        plain = tensor.layout == torch.strided and not tensor.is_quantized and tensor.device.type == "cpu"
        if not plain or tensor.numel() * tensor.element_size() > path.stat().st_size:
            raise ModelFolderError(f"{path}: {name!r} is no plain tensor of a size that the file holds")
    return dict(state)


def _check_torch() -> None:
    version = tuple(int(part) for part in torch.__version__.split(".")[:2])
    if version < _SAFE_TORCH:
        raise ModelFolderError(
            f"old weights are read with torch 2.6 or newer only, this is {torch.__version__}: older ones can be "
            "made to run code. Type: pip install --upgrade torch"
        )


def _check_archive(path: Path) -> None:
    """Checks that a file is torch's archive, and no larger when it is read than it is on disk."""
    size = path.stat().st_size
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
    except (zipfile.BadZipFile, NotImplementedError, ValueError) as error:
        raise ModelFolderError(
            f"{path} is damaged, or in the form that torch wrote before version 1.6, which is not read"
        ) from error
    if any(e.compress_type != zipfile.ZIP_STORED for e in entries) or sum(e.file_size for e in entries) > size:
        raise ModelFolderError(f"{path} is no archive as torch writes it: it would grow when it is read")
