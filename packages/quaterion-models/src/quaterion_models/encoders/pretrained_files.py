"""The folder of a pre-trained model: found, listed and checked without loading its weights."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from hashlib import blake2b
from pathlib import Path
from typing import Any, NamedTuple

from quaterion_models.extras import require
from quaterion_models.file_digest import file_digest
from quaterion_models.saving import strict_json

WEIGHTS = frozenset({".safetensors", ".bin"})
PICKLES = frozenset({".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt", ".py"})
_NEEDED = frozenset({".json", ".txt", ".model", ".vocab", ".tiktoken", ".spm"}) | WEIGHTS
# Copies of the weights for other programs, and what other programs leave.
_OTHERS = {"onnx", "openvino", "coreml", "data_config.json", "train_script.py", "training_args.bin", "optimizer.bin"}
_OTHER_FOLDERS = ["onnx/*", "openvino/*", "coreml/*"]
_SAFE_PATTERNS = [f"*{suffix}" for suffix in sorted(_NEEDED - {".bin"})]
_ADAPTER = "adapter_config.json"
_ATTENTION = "attn_implementation"
_ELSEWHERE = {"backbone", "repo_path"}
_CONFIGURATIONS = ("config.json", "preprocessor_config.json", "processor_config.json")
# Names of what is as wide as the vectors of a model, of what is multiplied by that, and of other sizes.
_WIDTHS = {"hidden_size", "hidden_sizes", "d_model", "dim", "n_embd", "embed_dim", "in_features"}
_SIZED = re.compile(r"(size|dim|ff|kv|inner|embd|model|features|channels|heads?|layers?|depth|experts|buckets)s?$")
_COUNTS = {"max_position_embeddings", "n_positions", "image_size", "patch_size", "num_channels", "num_classes"}
_SLACK = 2**20
_PIECES, _PIECE = 16, 4096  # of a file, to tell it from another


def is_weights(path: str | Path) -> bool:
    """Tells whether a model's file holds weights, or says which file holds which of them."""
    return Path(path).suffix in WEIGHTS or str(path).endswith(".index.json")


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
        ValueError: If there is no such folder and no such model, or neither can be reached; if it is a folder and a
            revision is given.
        ImportError: If a name is given and the extra is not installed.
    """
    folder = Path(name_or_folder)
    if name_or_folder and folder.is_dir():
        if revision is not None:
            raise ValueError(
                f"{name_or_folder!r} is a folder on this machine, which has no revision {revision!r}: leave the "
                "revision out, or run where there is no such folder to take the model from the hub"
            )
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
        named |= set(map(str, files.values())) if isinstance(files, dict) else set()
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
        ValueError: If it is missing, damaged, or larger than a configuration is.
    """
    try:
        text = strict_json.read_bytes(path)
        strict_json.check_size(text)
        return json.loads(text)  # not strictly: configurations of transformers have numbers like Infinity
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


def samples(folder: Path, files: Iterable[Path]) -> list[tuple[str, str]]:
    """Digests a little of each file, spread over it: tells a model from another one without reading its weights.

    Args:
        folder: The model's folder.
        files: Files in it.

    Returns:
        Relative path and digest of each file's size and pieces.
    """
    found = []
    for path in files:
        size = path.stat().st_size
        hasher = blake2b(str(size).encode(), digest_size=16)
        with path.open("rb") as file:
            for piece in range(_PIECES):
                file.seek(max(size - _PIECE, 0) * piece // (_PIECES - 1))
                hasher.update(file.read(_PIECE))
        found.append((path.relative_to(folder).as_posix(), hasher.hexdigest()))
    return found


def check_there(folder: Path) -> None:
    """Checks that a model's folder has not been moved or removed since it was found.

    Args:
        folder: The folder.

    Raises:
        ValueError: If it has.
    """
    if not folder.is_dir():
        raise ValueError(
            f"{folder} is no longer there: an encoder reads its model's files when it needs them. Load it again from "
            "where they are now"
        )


def check_self_contained(folder: Path) -> None:
    """Checks that a model is nothing but the files of its folder: no part of it lies elsewhere or is code.

    An adapter names another model, whose files nobody looks after. An index of weights may name files anywhere, and
    transformers would follow it. A way to compute attention may name a repository of the hub, whose code it would fetch
    and run.

    Args:
        folder: A folder with `config.json` or weights; what lies deeper is not looked at.

    Raises:
        ValueError: If it needs something else.
    """
    if (folder / _ADAPTER).exists():
        raise ValueError(
            f"{folder} holds an adapter ({_ADAPTER}), which needs the weights of another model. Merge it into that "
            "model (peft: merge_and_unload) and pass the folder of the result"
        )
    for name in _CONFIGURATIONS:
        check_names_nothing_else(read_optional(folder / name), folder / name)
    config = folder / "config.json"
    content = read_optional(config)
    if "transformers_weights" in content:
        _check_beside(content["transformers_weights"], config, (".safetensors", ".safetensors.index.json"))
    for index in folder.glob("*.index*.json"):
        parts = read_optional(index).get("weight_map")
        if not isinstance(parts, dict):
            reason = "must hold a dict of weights and their files, weight_map"
            raise ValueError(f"{index} {reason}")  # noqa: TRY004  # the file's content is wrong, not an argument
        for part in set(map(str, parts.values())):
            _check_beside(part, index, (".safetensors",) if ".safetensors" in index.name else tuple(WEIGHTS))


def _check_beside(name: Any, where: Path, suffixes: tuple[str, ...]) -> None:
    if not isinstance(name, str) or Path(name).name != name or "\\" in name or not name.endswith(suffixes):
        expected = " or ".join(sorted(suffixes))
        raise ValueError(f"{where} names the weights {name!r:.200}, expected {expected} files beside it")


def check_names_nothing_else(content: dict[str, Any], where: Path) -> None:
    """Checks that a configuration names no code of the hub to compute attention with, and no other model.

    Args:
        content: The configuration.
        where: Its file, for messages.

    Raises:
        ValueError: If it does, at any place.
    """
    values: list[tuple[str, Any]] = [("", content)]
    while values:
        name, value = values.pop()
        if isinstance(value, dict):  # also one that names a way for each part of the model
            values += [(name if _ATTENTION in name else key, item) for key, item in value.items()]
        elif isinstance(value, list):
            values += [(name, item) for item in value]
        elif _ATTENTION in name and isinstance(value, str) and not value.isidentifier():
            raise ValueError(
                f"{where} names {value!r:.200} as {name}, which is code that the model would bring along. It is never "
                "run: expected one of those that transformers has, such as 'sdpa'"
            )
        elif name in _ELSEWHERE and isinstance(value, str):
            raise ValueError(
                f"{where} names {value!r:.200} as {name}, which transformers would fetch from the hub. Pass a model "
                "whose parts are all described in its own files"
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
    values: list[Any] = [read_optional(folder / "config.json")]
    while values:  # models of several towers have a configuration for each
        part = values.pop()
        if not isinstance(part, dict):
            continue
        values += part.values()
        numbers = {name: max(integers_in(value), default=0) for name, value in part.items() if type(value) is not dict}
        width = max((numbers.get(name, 0) for name in _WIDTHS), default=0) or 1
        for name, declared in sorted(numbers.items(), key=lambda item: -item[1]):
            wide = _SIZED.search(name) and name not in _COUNTS
            allocated = wide or name in _COUNTS or isinstance(part[name], list)
            if allocated and declared * (width if wide else 1) > limit:
                raise ValueError(
                    f"{folder / 'config.json'} declares {name} {declared} for vectors of {width}, more than its "
                    f"weights of {stored} bytes can hold. The folder is damaged"
                )


def integers_in(value: Any) -> list[int]:
    """Lists the integers in the content of a JSON file, however deep they lie."""
    found, values = [], [value]
    while values:
        value = values.pop()
        if isinstance(value, (list, tuple)):
            values += value
        elif isinstance(value, dict):
            values += value.values()
        elif isinstance(value, int) and not isinstance(value, bool):
            found.append(value)
    return found
