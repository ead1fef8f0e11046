"""The files of model folders: JSON and safetensors, read with suspicion and written durably."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from quaterion_models.saving import strict_json

FORMAT_VERSION = 1
CONFIG = "config.json"
HEAD_STATE = "head.safetensors"
CLASSES_STATE = "classes.safetensors"
ENCODERS = "encoders"
CARD = "README.md"
CLASSIFIER = "classifier"
MATCHER = "matcher.json"
ENCODER_CONFIG = "encoder.json"
ENCODER_STATE = "state.safetensors"

_DTYPES = {
    torch.float64: "F64",
    torch.float32: "F32",
    torch.float16: "F16",
    torch.bfloat16: "BF16",
    torch.float8_e4m3fn: "F8_E4M3",
    torch.float8_e5m2: "F8_E5M2",
    torch.complex64: "C64",
    torch.int64: "I64",
    torch.int32: "I32",
    torch.int16: "I16",
    torch.int8: "I8",
    torch.uint8: "U8",
    torch.bool: "BOOL",
}
_DEEPEST = 32
_MOST_ENTRIES = 100_000
_FLOATS = {"F64", "F32", "F16", "BF16"}  # a model may be saved in any of these


class ModelFolderError(ValueError):
    """A model folder that cannot be read or written; the message names the file and what to do."""


def read_json(path: Path) -> dict[str, Any]:
    """Reads a JSON object.

    Args:
        path: The file.

    Returns:
        The object.

    Raises:
        ModelFolderError: If the file is missing, too large, truncated or anything but one JSON object, or has a name
            twice in one object or a number that JSON does not know.
    """
    try:
        content = strict_json.parse(strict_json.read_bytes(path))
    except FileNotFoundError as error:
        raise ModelFolderError(f"{path} is missing: this is no complete model folder. Save the model again") from error
    except OSError as error:
        raise ModelFolderError(f"{path} cannot be read: {error}") from error
    except (ValueError, RecursionError) as error:  # not JSON, not UTF-8, or nested beyond reason
        raise ModelFolderError(f"{path} is damaged: {_short(error)}. Save the model again") from error
    if not isinstance(content, dict):
        raise ModelFolderError(f"{path} must hold a JSON object, it holds a {type(content).__name__}")
    return content


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Writes a JSON object, readable for people.

    Args:
        path: The file.
        content: The object.

    Raises:
        ModelFolderError: If it is larger than `read_json` would read.
    """
    text = (json.dumps(content, indent=2, allow_nan=False) + "\n").encode()
    try:
        strict_json.check_size(text)
    except ValueError as error:
        raise ModelFolderError(f"{path} is not written: it would hold {error}") from error
    path.write_bytes(text)


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
        ModelFolderError: If the state holds something other than tensors, or the file cannot be written.
    """
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
    write_tensors(state, path)


def write_tensors(state: dict[str, Tensor], path: Path) -> None:
    """Writes tensors as a safetensors file that whoever may read the folder can read.

    Args:
        state: Contiguous tensors on the CPU, which share no memory, by name.
        path: The file.

    Raises:
        ModelFolderError: If the file cannot be written.
    """
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    path.touch()
    mode = path.stat().st_mode
    try:
        save_file(state, path, metadata={"format": "pt"})
    except SafetensorError as error:  # a full disk, for one
        raise ModelFolderError(f"{path} cannot be written: {error}") from error
    path.chmod(mode)  # safetensors makes its files unreadable for others, whatever the umask says


class StoredTensor(NamedTuple):
    """What a safetensors file says of a tensor.

    Attributes:
        dtype: Its type, in the file's own words: `"F32"`.
        shape: Its shape.
    """

    dtype: str
    shape: tuple[int, ...]


def stored_tensors(path: Path) -> dict[str, StoredTensor]:
    """Reads what tensors a safetensors file holds, without their data.

    Args:
        path: The file.

    Returns:
        Tensor names to types and shapes.

    Raises:
        ModelFolderError: If the file is missing, truncated or no safetensors file.
    """
    from safetensors import safe_open

    with _Naming(path), safe_open(path, framework="pt") as file:
        slices = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118
        return {name: StoredTensor(one.get_dtype(), tuple(one.get_shape())) for name, one in slices.items()}


def state_shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """Reads the shapes of a safetensors file without its data.

    Args:
        path: The file.

    Returns:
        Tensor names to shapes.

    Raises:
        ModelFolderError: If the file is missing, truncated or no safetensors file.
    """
    return {name: tensor.shape for name, tensor in stored_tensors(path).items()}


def check_shapes(module: nn.Module, path: Path, *, without: str = "\0") -> None:
    """Checks that a file holds exactly the tensors that a module has.

    Args:
        module: The module; it may lie on the meta device.
        path: The safetensors file.
        without: Tensors of the module whose names start with this are not in the file.

    Raises:
        ModelFolderError: If a tensor is missing, too many, of another shape or of another kind of number (floating
            point numbers may have another precision), or the file is damaged.
    """
    stored = stored_tensors(path)
    own = {name: value for name, value in module.state_dict().items() if not name.startswith(without)}
    what = type(module).__name__
    for name in own.keys() - stored.keys():
        raise ModelFolderError(f"{path} has no tensor {name!r}, which a {what} needs. Save the model again")
    for name in stored.keys() - own.keys():
        raise ModelFolderError(f"{path} has a tensor {_short(name)}, which a {what} does not know")
    for name, value in own.items():
        if stored[name].shape != tuple(value.shape):
            raise ModelFolderError(
                f"{path}: tensor {name!r} has shape {list(stored[name].shape)}, a {what} built with the saved "
                f"arguments has {list(value.shape)}"
            )
        expected = _DTYPES.get(value.dtype, str(value.dtype))
        if stored[name].dtype != expected and not {stored[name].dtype, expected} <= _FLOATS:
            raise ModelFolderError(
                f"{path}: tensor {name!r} is of type {stored[name].dtype}, a {what} has {expected}. Save the "
                "model again"
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

    A link may lead to a file in the folder. In a snapshot of the Hugging Face hub's cache
    (`models--NAME/snapshots/COMMIT`), where every file is a link, it may also lead to one of that model's own `blobs`.
    Links to folders are not followed: what they lead to could have links again. Encoders within encoders are checked at
    each level, so depth and number of entries are bounded.

    Args:
        root: The model folder; it may itself be a link, or lie behind one.
        path: What is about to be read.

    Raises:
        ModelFolderError: If a link leads out of the folder or to a folder, something is neither a file nor a folder, or
            there are more or deeper folders and files than a model has.
    """
    allowed = _allowed_folders(root)
    above = [path, *path.parents]
    try:
        for entry in (*above[: above.index(root) if root in above else 1], *_entries_below(path)):
            _check_entry(entry, root, allowed)
    except OSError as error:
        raise ModelFolderError(f"{path} cannot be read: {error}") from error


def _allowed_folders(root: Path) -> list[Path]:
    real = root.resolve()
    for folder in (real, *real.parents):
        repository = folder.parent.parent
        if folder.parent.name == "snapshots" and repository.name.startswith("models--"):
            return [real, repository / "blobs"]
    return [real]


def _entries_below(path: Path) -> Iterator[Path]:
    folders, count = ([(path, 1)] if path.is_dir() else []), 0
    while folders:
        folder, depth = folders.pop()
        with os.scandir(folder) as entries:
            for entry in entries:
                count += 1
                if depth > _DEEPEST or count > _MOST_ENTRIES:
                    raise ModelFolderError(
                        f"{path} holds folders that lie more than {_DEEPEST} deep, or more than {_MOST_ENTRIES} files: "
                        "no model does, so they are not read"
                    )
                yield Path(entry.path)
                if entry.is_dir(follow_symlinks=False):
                    folders.append((Path(entry.path), depth + 1))


def _check_entry(entry: Path, root: Path, allowed: list[Path]) -> None:
    try:
        mode = entry.lstat().st_mode
    except FileNotFoundError:  # whoever reads it will say so
        return
    if stat.S_ISLNK(mode):
        try:
            target = entry.resolve(strict=True)
            inside = any(target.is_relative_to(folder) for folder in allowed)
        except (OSError, RuntimeError):  # to nowhere, or in a circle
            inside = False
        if not inside:
            raise ModelFolderError(f"{entry} is a link that leads out of the model folder {root}: not followed")
        mode = target.lstat().st_mode
        if stat.S_ISDIR(mode):
            raise ModelFolderError(f"{entry} is a link to a folder, {target}: not followed")
    if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
        raise ModelFolderError(f"{entry} is neither a file nor a folder: not read")


def sync_folder(folder: Path) -> None:
    """Makes the system write everything in a folder to the disk; what is neither a file nor a folder has nothing."""
    for entry in (folder, *folder.rglob("*")):
        if not entry.is_symlink() and (entry.is_file() or entry.is_dir()):
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
