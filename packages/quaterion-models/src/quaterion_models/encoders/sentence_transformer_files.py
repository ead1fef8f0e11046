"""The folder of a sentence-transformers model: found, checked and described without loading its weights."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

from quaterion_models.extras import require
from quaterion_models.file_digest import file_digest

WEIGHTS = {".safetensors", ".bin"}
_NEEDED = {".json", ".txt", ".model", ".vocab", ".tiktoken", ".spm", *WEIGHTS}
_PATTERNS = [f"*{suffix}" for suffix in sorted(_NEEDED)]
# Copies of the weights for other programs, and what other programs leave.
_OTHERS = {"onnx", "openvino", "coreml", "data_config.json", "train_script.py", "training_args.bin", "optimizer.bin"}
_MODULES = {
    *("Transformer", "Pooling", "Normalize", "Dense", "Dropout", "LayerNorm", "WeightedLayerPooling"),
    *("StaticEmbedding", "WordEmbeddings", "WordWeights", "BoW", "CNN", "LSTM"),
}
_POOLING_FLAGS = ("cls_token", "max_tokens", "mean_tokens", "mean_sqrt_len_tokens", "weightedmean_tokens", "lasttoken")


class Module(NamedTuple):
    """One entry of modules.json.

    Attributes:
        kind: Name of its class.
        folder: Its folder.
    """

    kind: str
    folder: Path


def find_model_folder(name_or_folder: str, revision: str | None = None) -> Path:
    """Finds a model's folder: one on this machine, or the local copy of a model of the Hugging Face hub.

    Args:
        name_or_folder: A folder, or a name on the hub; one without `/` is one of `sentence-transformers/`.
        revision: Branch, tag or commit on the hub.

    Returns:
        The folder.

    Raises:
        ValueError: If there is no such folder and no such model, or neither can be reached.
    """
    folder = Path(name_or_folder)
    if name_or_folder and folder.is_dir():
        return folder.resolve()
    looks_like_path = folder.is_absolute() or name_or_folder.startswith((".", "~")) or name_or_folder.count("/") > 1
    if looks_like_path or not name_or_folder or "\\" in name_or_folder:
        raise ValueError(
            f"no model at {name_or_folder!r}: expected a folder with the files of a sentence-transformers model, or a "
            'name on the Hugging Face hub such as "sentence-transformers/all-MiniLM-L6-v2"'
        )
    name = name_or_folder if "/" in name_or_folder else f"sentence-transformers/{name_or_folder}"
    hub = require("huggingface_hub", extra="sentence-transformers")
    options: dict[str, Any] = {"revision": revision, "allow_patterns": _PATTERNS}
    try:
        found = Path(hub.snapshot_download(name, local_files_only=True, **options))
        if _is_complete(found):
            return found
    except (OSError, ValueError):  # not downloaded yet, or a name that cannot be one
        pass
    try:
        return Path(hub.snapshot_download(name, **options))
    except (OSError, ValueError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise ValueError(
            f"no model {name_or_folder!r}: there is no such folder, and the Hugging Face hub gave none ({reason}). "
            "Check the name and the connection, or pass the folder of a model"
        ) from error


def _is_complete(folder: Path) -> bool:
    return (folder / "config.json").exists() and any(path.suffix in WEIGHTS for path in folder.iterdir())


def read_modules(folder: Path) -> list[Module]:
    """Reads which modules a model is made of.

    Args:
        folder: The model's folder.

    Returns:
        Its modules in order; none where it is a plain transformers model.

    Raises:
        ValueError: If the files cannot be read, lie outside the folder, or name code that is not part of
            sentence-transformers.
    """
    path = folder / "modules.json"
    if not path.exists():
        if not (folder / "config.json").exists():
            raise ValueError(f"{folder} has neither modules.json nor config.json: it is no sentence-transformers model")
        return []
    entries = read_config(path)
    modules = []
    for listed in entries if isinstance(entries, list) else [None]:
        entry = listed if isinstance(listed, dict) else {}
        kind, place = entry.get("type"), entry.get("path")
        if not isinstance(kind, str) or not isinstance(place, str):
            reason = "must hold a list of modules, each with a type and a path"
            raise ValueError(f"{path} {reason}")  # noqa: TRY004  # the file's content is wrong, not an argument
        name = kind.rpartition(".")[2]
        if not kind.startswith("sentence_transformers.") or name not in _MODULES:
            raise ValueError(
                f"{path} names {kind!r}, which is not one of the modules of sentence-transformers that are loaded here "
                f"({', '.join(sorted(_MODULES))}). Code that a model brings along is never run"
            )
        if not (folder / place).resolve().is_relative_to(folder.resolve()):
            raise ValueError(f"{path} names the path {place!r}, which leads out of the model's folder")
        modules.append(Module(name, folder / place))
    if not modules:
        raise ValueError(f"{path} names no modules")
    return modules


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


def declared_size(folder: Path) -> int | None:
    """Reads the length of a model's vectors from its configuration.

    Args:
        folder: The model's folder.

    Returns:
        The length, or None where only the loaded model can tell.
    """
    size: int | None = None
    for module in read_modules(folder) or [Module("Transformer", folder)]:
        size = _size_after(module, size)
    cut = read_optional(folder / "config_sentence_transformers.json").get("truncate_dim")
    return min(size, cut) if size is not None and isinstance(cut, int) else size


def _size_after(module: Module, before: int | None) -> int | None:
    config = read_optional(module.folder / "config.json")
    if module.kind == "Transformer":
        found = config.get("hidden_size", config.get("d_model", config.get("dim")))
    elif module.kind == "Pooling":
        found = config.get("embedding_dimension", config.get("word_embedding_dimension"))
        mode = config.get("pooling_mode")
        flags = sum(bool(config.get(f"pooling_mode_{flag}")) for flag in _POOLING_FLAGS)
        times = len(mode) if isinstance(mode, list) else 1 if mode else max(flags, 1)
        found = found * times if isinstance(found, int) else None
    elif module.kind == "Dense":
        found = config.get("out_features")
    elif module.kind in {"Normalize", "Dropout", "LayerNorm"}:
        found = before
    else:
        found = None
    return found if isinstance(found, int) else None


def check_declared_sizes(folder: Path) -> None:
    """Checks that a configuration declares no more weights than the files can hold, before anything is allocated.

    Args:
        folder: The model's folder.

    Raises:
        ValueError: If it does.
    """
    for module in read_modules(folder) or [Module("Transformer", folder)]:
        config = read_optional(module.folder / "config.json")
        stored = sum(file.stat().st_size for file in module.folder.glob("*.safetensors"))
        width = config.get("hidden_size", config.get("in_features", 1))
        for name in ("vocab_size", "intermediate_size", "num_hidden_layers", "out_features", "hidden_size"):
            declared = config.get(name, 1)
            # A weight takes half a byte at the least.
            if isinstance(declared, int) and isinstance(width, int) and declared * width > max(2 * stored, 2**20):
                raise ValueError(
                    f"{module.folder / 'config.json'} declares {name} {declared} for vectors of {width}, more than its "
                    f"weights of {stored} bytes can hold. The folder is damaged"
                )


def model_files(folder: Path) -> list[Path]:
    """Lists the files that a model's vectors depend on.

    Args:
        folder: The model's folder.

    Returns:
        Configuration, tokenizer and weights, sorted; not what is there for other programs, nor a pickled copy of
        weights that are there as safetensors.
    """
    places = {folder, *(module.folder for module in read_modules(folder) if module.folder.is_dir())}
    files = []
    for place in places:
        found = [path for path in place.iterdir() if path.is_file() and path.suffix in _NEEDED]
        safe = any(path.suffix == ".safetensors" for path in found)
        files += [path for path in found if path.name not in _OTHERS and not (safe and path.suffix == ".bin")]
    return sorted(set(files))


def files_digest(folder: Path) -> list[tuple[str, str]]:
    """Digests a model's files.

    Args:
        folder: The model's folder.

    Returns:
        Relative path and digest of each file.
    """
    return [(path.relative_to(folder).as_posix(), file_digest(path)) for path in model_files(folder)]
