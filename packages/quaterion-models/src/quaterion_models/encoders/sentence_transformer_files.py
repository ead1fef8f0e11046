"""The folder of a sentence-transformers model: found, checked and described without loading its weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from quaterion_models.encoders.pretrained_files import (
    check_declared_sizes,
    check_names_nothing_else,
    check_self_contained,
    files_in,
    read_config,
    read_optional,
)

_MODULES = {
    *("Transformer", "Pooling", "Normalize", "Dense", "Dropout", "LayerNorm", "WeightedLayerPooling"),
    *("StaticEmbedding", "WordEmbeddings", "WordWeights", "BoW", "CNN", "LSTM"),
}
# What a Transformer module's file may hand on to transformers: nothing that names files, other models or code, or that
# asks for weights to be unpickled.
_HANDED_ON = {
    *("dtype", "torch_dtype", "attn_implementation", "add_pooling_layer", "use_cache", "is_causal", "is_decoder"),
    *("num_labels", "use_bidirectional_attention", "padding_side", "truncation_side", "model_max_length", "max_length"),
    *("do_lower_case", "use_fast", "add_eos_token", "add_bos_token", "clean_up_tokenization_spaces"),
    *("min_pixels", "max_pixels", "trust_remote_code"),  # the last is thrown away by sentence-transformers
}
_ARGUMENTS = ("model_args", "model_kwargs", "tokenizer_args", "processor_kwargs", "config_args", "config_kwargs")
_POOLING_FLAGS = ("cls_token", "max_tokens", "mean_tokens", "mean_sqrt_len_tokens", "weightedmean_tokens", "lasttoken")


class Module(NamedTuple):
    """One entry of modules.json.

    Attributes:
        kind: Name of its class.
        folder: Its folder.
    """

    kind: str
    folder: Path


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


def check_modules(folder: Path) -> None:
    """Checks that a model is nothing but the files of its folder, whatever its modules' files ask for.

    Args:
        folder: The model's folder.

    Raises:
        ValueError: If a module would run code, unpickle weights, or read other files than its own.
    """
    for place in sorted({folder, *(module.folder for module in read_modules(folder))}):
        check_self_contained(place)
        for path in sorted(place.glob("sentence_*_config.json")):
            _check_handed_on(read_optional(path), path)
        for name in ("tokenizer_class", "activation_function"):
            _check_class(read_optional(place / "config.json").get(name), name, place / "config.json")


def _check_handed_on(config: dict[str, Any], path: Path) -> None:
    check_names_nothing_else(config, path)
    named = {name for part in _ARGUMENTS if isinstance(config.get(part), dict) for name in config[part]}
    odd = sorted(named - _HANDED_ON) + ["tokenizer_name_or_path"] * ("tokenizer_name_or_path" in config)
    if odd:
        raise ValueError(
            f"{path} hands {odd} on to transformers, which could make it run code or read other files. Remove them "
            "from the file, or save the model again without them"
        )


def _check_class(name: Any, setting: str, path: Path) -> None:
    """Checks the class that a module's file names: sentence-transformers imports it by that name."""
    if not isinstance(name, str) or "." not in name:  # a tokenizer of transformers has no module in its name
        return
    if not name.startswith(("sentence_transformers.", "torch.nn.")):
        raise ValueError(
            f"{path} names the {setting} {name!r:.200}, expected one of torch.nn or sentence-transformers. Code that a "
            "model brings along is never run"
        )


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


def check_module_sizes(folder: Path) -> None:
    """Checks that no module's configuration declares more weights than its files can hold.

    Args:
        folder: The model's folder.

    Raises:
        ValueError: If one does.
    """
    for place in {folder, *(module.folder for module in read_modules(folder))}:
        check_declared_sizes(place)


def leaves_prompt_out(folder: Path) -> bool:
    """Tells whether a model's pooling leaves the tokens of the prompt out, so that it is more than text in front."""
    return any(
        read_optional(module.folder / "config.json").get("include_prompt") is False for module in read_modules(folder)
    )


def model_files(folder: Path) -> list[Path]:
    """Lists the files that a model's vectors depend on.

    Args:
        folder: The model's folder.

    Returns:
        Those of the folder and of its modules' folders, sorted.
    """
    return files_in({folder, *(module.folder for module in read_modules(folder) if module.folder.is_dir())})
