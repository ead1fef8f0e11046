"""The folder of a pre-trained model: found, listed and checked without loading its weights."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from quaterion_models.extras import require
from quaterion_models.file_digest import file_digest

WEIGHTS = frozenset({".safetensors", ".bin"})
PICKLES = frozenset({".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt", ".py"})
_NEEDED = frozenset({".json", ".txt", ".model", ".vocab", ".tiktoken", ".spm"}) | WEIGHTS
# Copies of the weights for other programs, and what other programs leave.
_OTHERS = {"onnx", "openvino", "coreml", "data_config.json", "train_script.py", "training_args.bin", "optimizer.bin"}
_OTHER_FOLDERS = ["onnx/*", "openvino/*", "coreml/*"]
_SAFE_PATTERNS = [f"*{suffix}" for suffix in sorted(_NEEDED - {".bin"})]
_ADAPTER = "adapter_config.json"
# What a weight's number of rows may be called in a configuration, and what else decides how much is allocated.
_WIDTHS = ("hidden_size", "d_model", "dim", "n_embd", "in_features")
_LAYERS = ("num_hidden_layers", "num_layers", "n_layer", "n_layers")
_ROWS = ("vocab_size", "intermediate_size", "d_ff", "out_features", *_LAYERS)
_COUNTS = ("max_position_embeddings", "n_positions", "image_size", "patch_size", "num_channels", "depth", "num_classes")
_SLACK = 2**20


class ModelSource(NamedTuple):
    """Where the models of a kind come from, and what to say of them.

    Attributes:
        kind: What to call such a model in a message: `"a sentence-transformers model"`.
        example: A name on the Hugging Face hub.
        extra: The extra of this distribution that brings the libraries.
        organisation: What a name without `/` belongs to on the hub; empty for names that are complete without.
    """

    kind: str
    example: str
    extra: str
    organisation: str = ""


def find_model_folder(name_or_folder: str, revision: str | None, source: ModelSource) -> Path:
    """Finds a model's folder: one on this machine, or the local copy of a model of the Hugging Face hub.

    What was downloaded before is taken without asking the network.

    Args:
        name_or_folder: A folder, or a name on the hub.
        revision: Branch, tag or commit on the hub; None for the main branch.
        source: The kind of model.

    Returns:
        The folder.

    Raises:
        ValueError: If there is no such folder and no such model, or neither can be reached.
        ImportError: If a name is given and the extra is not installed.
    """
    folder = Path(name_or_folder)
    if name_or_folder and folder.is_dir():
        return folder.resolve()
    looks_like_path = folder.is_absolute() or name_or_folder.startswith((".", "~")) or name_or_folder.count("/") > 1
    if looks_like_path or not name_or_folder or "\\" in name_or_folder:
        raise ValueError(
            f"no model at {name_or_folder!r}: expected a folder with the files of {source.kind}, or a name on the "
            f'Hugging Face hub such as "{source.example}"'
        )
    full = "/" in name_or_folder or not source.organisation
    name = name_or_folder if full else f"{source.organisation}/{name_or_folder}"
    hub = require("huggingface_hub", extra=source.extra)
    options: dict[str, Any] = {"revision": revision, "ignore_patterns": _OTHER_FOLDERS}
    try:
        found = Path(hub.snapshot_download(name, local_files_only=True, allow_patterns=_SAFE_PATTERNS, **options))
        if is_complete(found):
            return found
    except (OSError, ValueError):  # not downloaded yet, or a name that cannot be one
        pass
    try:
        folder = Path(hub.snapshot_download(name, allow_patterns=_SAFE_PATTERNS, **options))
        # Pickled weights beside safe ones would double the download: they are asked for only where there are no others.
        if any(folder.rglob("*.safetensors")):
            return folder
        return Path(hub.snapshot_download(name, allow_patterns=[*_SAFE_PATTERNS, "*.bin"], **options))
    except Exception as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ValueError(
            f"no model {name_or_folder!r}: there is no such folder, and the Hugging Face hub gave none ({reason}). "
            "Check the name and the connection, or pass the folder of a model"
        ) from error


def is_complete(folder: Path) -> bool:
    """Tells whether a local copy has a configuration and all the weights that its index names."""
    if not (folder / "config.json").exists() and not (folder / "modules.json").exists():
        return False
    named: set[str] = set()
    for index in folder.glob("*.safetensors.index.json"):
        files = read_optional(index).get("weight_map")
        named |= set(files.values()) if isinstance(files, dict) else set()
    if named:
        return all((folder / name).exists() for name in named)
    return any(path.suffix in WEIGHTS for path in folder.rglob("*"))


def read_config(path: Path) -> Any:
    """Reads a JSON file.

    Args:
        path: The file.

    Returns:
        Its content.

    Raises:
        ValueError: If it is missing or damaged.
    """
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise ValueError(f"{path} cannot be read: {error}") from error


def read_optional(path: Path) -> dict[str, Any]:
    """Reads a JSON file that may be missing: then, and where it holds something else, an empty dict."""
    content = read_config(path) if path.exists() else {}
    return content if isinstance(content, dict) else {}


def files_in(places: Iterable[Path]) -> list[Path]:
    """Lists the files of folders that a model's vectors may depend on.

    Args:
        places: Folders; what lies deeper is not looked at.

    Returns:
        Configuration, tokenizer and weights, sorted; not what is there for other programs, nor a pickled copy of
        weights that are there as safetensors.
    """
    files: set[Path] = set()
    for place in places:
        found = [path for path in place.iterdir() if path.is_file() and path.suffix in _NEEDED]
        safe = any(path.suffix == ".safetensors" for path in found)
        files |= {path for path in found if path.name not in _OTHERS and not (safe and path.suffix == ".bin")}
    return sorted(files)


def digests(folder: Path, files: Iterable[Path]) -> list[tuple[str, str]]:
    """Digests a model's files.

    Args:
        folder: The model's folder.
        files: Files in it.

    Returns:
        Relative path and digest of each file.
    """
    return [(path.relative_to(folder).as_posix(), file_digest(path)) for path in files]


def check_no_adapter(folder: Path) -> None:
    """Checks that a folder is a model of its own: an adapter names another, whose files nobody looks after.

    Args:
        folder: The model's folder.

    Raises:
        ValueError: If it holds an adapter.
    """
    if (folder / _ADAPTER).exists():
        raise ValueError(
            f"{folder} holds an adapter ({_ADAPTER}), which needs the weights of another model. Merge it into that "
            "model (peft: merge_and_unload) and pass the folder of the result"
        )


def check_declared_sizes(folder: Path) -> None:
    """Checks that a configuration declares no more weights than the files can hold, before anything is allocated.

    Args:
        folder: The folder of `config.json` and of the weights.

    Raises:
        ValueError: If it does.
    """
    stored = sum(file.stat().st_size for file in folder.glob("*.safetensors"))
    limit = max(2 * stored, _SLACK)  # a weight takes half a byte at the least
    config = read_optional(folder / "config.json")
    # Models of several towers have a configuration for each.
    for part in (config, *(value for value in config.values() if isinstance(value, dict))):
        width = max((part[name] for name in _WIDTHS if isinstance(part.get(name), int)), default=1)
        for name in (*_ROWS, *_WIDTHS, *_COUNTS):
            declared = part.get(name)
            if isinstance(declared, int) and declared * (1 if name in _COUNTS else width) > limit:
                raise ValueError(
                    f"{folder / 'config.json'} declares {name} {declared} for vectors of {width}, more than its "
                    f"weights of {stored} bytes can hold. The folder is damaged"
                )
