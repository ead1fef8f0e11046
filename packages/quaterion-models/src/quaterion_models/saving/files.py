"""The files of model folders: JSON and safetensors, read with suspicion and written durably."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

FORMAT_VERSION = 1
CONFIG = "config.json"
HEAD_STATE = "head.safetensors"
CLASSES_STATE = "classes.safetensors"
ENCODERS = "encoders"
CARD = "README.md"
ENCODER_CONFIG = "encoder.json"
ENCODER_STATE = "state.safetensors"

_LARGEST_JSON = 64 * 2**20


class ModelFolderError(ValueError):
    """A model folder that cannot be read or written; the message names the file and what to do."""


def read_json(path: Path) -> dict[str, Any]:
    """Reads a JSON object.

    Args:
        path: The file.

    Returns:
        The object.

    Raises:
        ModelFolderError: If the file is missing, too large, truncated or anything but one JSON object.
    """
    try:
        if path.stat().st_size > _LARGEST_JSON:
            raise ModelFolderError(f"{path} is larger than {_LARGEST_JSON} bytes: this is no model's configuration")
        content = json.loads(path.read_bytes())
    except FileNotFoundError as error:
        raise ModelFolderError(f"{path} is missing: this is no complete model folder. Save the model again") from error
    except OSError as error:
        raise ModelFolderError(f"{path} cannot be read: {error}") from error
    except (ValueError, RecursionError) as error:  # not JSON, not UTF-8, or nested beyond reason
        if isinstance(error, ModelFolderError):
            raise
        raise ModelFolderError(f"{path} is damaged: {_short(error)}. Save the model again") from error
    if not isinstance(content, dict):
        raise ModelFolderError(f"{path} must hold a JSON object, it holds a {type(content).__name__}")
    return content


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Writes a JSON object, readable for people."""
    path.write_text(json.dumps(content, indent=2, allow_nan=False) + "\n", encoding="utf-8")


def check_version(content: dict[str, Any], path: Path) -> None:
    """Checks the format version of a JSON file.

    Args:
        content: What the file holds.
        path: The file, for messages.

    Raises:
        ModelFolderError: If the version is missing or newer than this library knows.
    """
    version = content.get("format_version")
    if not isinstance(version, int) or isinstance(version, bool) or version < 1:
        raise ModelFolderError(f'{path} must have a "format_version" of {FORMAT_VERSION}, it has {version!r}')
    if version > FORMAT_VERSION:
        raise ModelFolderError(
            f"{path} has format_version {version}, this library reads up to {FORMAT_VERSION}. "
            "Install a newer one: pip install --upgrade quaterion-models"
        )


def field(content: dict[str, Any], name: str, kind: type | tuple[type, ...], path: Path) -> Any:
    """Takes a value of a known type out of a JSON object.

    Args:
        content: The object.
        name: The value's name.
        kind: Its type or types.
        path: The file, for messages.

    Returns:
        The value.

    Raises:
        ModelFolderError: If it is missing or of another type.
    """
    value = content.get(name)
    kinds = kind if isinstance(kind, tuple) else (kind,)
    if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
        expected = " or ".join(k.__name__ for k in kinds)
        raise ModelFolderError(f"{path}: {name!r} must be {expected}, it is {_short(value)}")
    return value


def write_state(module: nn.Module, path: Path, *, without: str = "\0") -> None:
    """Writes a module's state, on whatever device it is.

    Args:
        module: The module.
        path: The safetensors file.
        without: Tensors whose names start with this are left out.

    Raises:
        ModelFolderError: If the state holds something other than tensors.
    """
    from safetensors.torch import save_file

    state: dict[str, Tensor] = {}
    seen: set[int] = set()
    for name, value in module.state_dict().items():
        if name.startswith(without):
            continue
        if not isinstance(value, Tensor):
            raise ModelFolderError(
                f"the state of {type(module).__name__} holds {name!r} of type {type(value).__name__}, expected tensors "
                "only. Keep it in a constructor argument, or override save and load"
            )
        tensor = value.detach().cpu().contiguous()
        # Tensors that share memory (tied weights) are written one by one.
        if tensor.untyped_storage().data_ptr() in seen or tensor.untyped_storage().nbytes() != tensor.nbytes:
            tensor = tensor.clone()
        seen.add(tensor.untyped_storage().data_ptr())
        state[name] = tensor
    path.touch()
    mode = path.stat().st_mode
    save_file(state, path, metadata={"format": "pt"})
    path.chmod(mode)  # safetensors makes its files unreadable for others, whatever the umask says


def state_shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """Reads the shapes of a safetensors file without its data.

    Args:
        path: The file.

    Returns:
        Tensor names to shapes.

    Raises:
        ModelFolderError: If the file is missing, truncated or no safetensors file.
    """
    from safetensors import safe_open

    with _Naming(path), safe_open(path, framework="pt") as file:
        return {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118


def check_shapes(module: nn.Module, path: Path, *, without: str = "\0") -> None:
    """Checks that a file holds exactly the tensors that a module has.

    Args:
        module: The module; it may lie on the meta device.
        path: The safetensors file.
        without: Tensors of the module whose names start with this are not in the file.

    Raises:
        ModelFolderError: If a tensor is missing, too many or of another shape, or the file is damaged.
    """
    stored = state_shapes(path)
    own = {n: tuple(value.shape) for n, value in module.state_dict().items() if not n.startswith(without)}
    what = type(module).__name__
    for name in own.keys() - stored.keys():
        raise ModelFolderError(f"{path} has no tensor {name!r}, which a {what} needs. Save the model again")
    for name in stored.keys() - own.keys():
        raise ModelFolderError(f"{path} has a tensor {name!r}, which a {what} does not know")
    for name, shape in own.items():
        if stored[name] != shape:
            raise ModelFolderError(
                f"{path}: tensor {name!r} has shape {list(stored[name])}, a {what} built with the saved arguments has "
                f"{list(shape)}"
            )


def read_state(module: nn.Module, path: Path, *, without: str = "\0") -> None:
    """Reads a module's state from a file, dtypes included.

    Args:
        module: The module, on the CPU.
        path: The safetensors file.
        without: Tensors of the module whose names start with this are not in the file.

    Raises:
        ModelFolderError: If the file is missing, damaged, or does not fit the module.
    """
    from safetensors.torch import load_file

    check_shapes(module, path, without=without)
    with _Naming(path):
        state = load_file(path, device="cpu")
    with torch.no_grad():
        for name, own in module.state_dict(keep_vars=True).items():
            if name in state and own.dtype != state[name].dtype:
                own.data = own.data.to(state[name].dtype)
    module.load_state_dict(state, strict=False)  # the names have been checked


def check_inside(root: Path, path: Path) -> None:
    """Checks that a file or folder, and everything in it, lies within a folder once links are followed.

    Args:
        root: The model folder.
        path: What is about to be read.

    Raises:
        ModelFolderError: If a link leads out of the folder.
    """
    real_root = root.resolve()
    for entry in (path, *(path.rglob("*") if path.is_dir() else ())):
        try:
            inside = entry.resolve().is_relative_to(real_root)
        except (OSError, RuntimeError):  # links in a circle
            inside = False
        if not inside:
            raise ModelFolderError(f"{entry} is a link that leads out of the model folder {root}: not followed")
        if entry.exists() and not entry.is_dir() and not entry.is_file():
            raise ModelFolderError(f"{entry} is neither a file nor a folder: not read")


def sync_folder(folder: Path) -> None:
    """Makes the system write everything in a folder to the disk."""
    for entry in (folder, *folder.rglob("*")):
        if not entry.is_symlink():
            _sync(entry)


def _sync(path: Path) -> None:
    if os.name == "nt" and path.is_dir():  # Windows has no way to do this for folders
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class _Naming:
    """Turns any error in reading a safetensors file into one that names it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __enter__(self) -> None:
        if not self.path.is_file():
            raise ModelFolderError(f"{self.path} is missing: this is no complete model folder. Save the model again")

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> None:
        if isinstance(error, Exception) and not isinstance(error, ModelFolderError):
            raise ModelFolderError(f"{self.path} is damaged: {_short(error)}. Save the model again") from error


def _short(value: object) -> str:
    text = str(value) if isinstance(value, Exception) else repr(value)
    return text if len(text) <= 200 else text[:200] + "…"
