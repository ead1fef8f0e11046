"""The folder of a model: written all at once, read without running what it says.

model/
    config.json        format_version, encoders (key, type, args), head (type, args), labels
    head.safetensors
    classes.safetensors  class weights, where training left some
    encoders/<key>/    what the encoder's own save wrote
    README.md          model card
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from torch import nn

from quaterion_models.class_weights import ClassWeights
from quaterion_models.encoders.encoder import Encoder
from quaterion_models.heads.encoder_head import EncoderHead
from quaterion_models.names import folder_names
from quaterion_models.saving.arguments import Arguments, decode_value, encode_value
from quaterion_models.saving.encoder_folder import encoder_arguments, load_any_encoder, load_encoder_state
from quaterion_models.saving.files import (
    CARD,
    CLASSES_STATE,
    CONFIG,
    ENCODERS,
    FORMAT_VERSION,
    HEAD_STATE,
    ModelFolderError,
    check_inside,
    check_version,
    field,
    read_json,
    read_state,
    state_shapes,
    write_json,
    write_state,
)
from quaterion_models.saving.head_folder import head_from_spec, head_to_spec
from quaterion_models.saving.model_card import ModelCard, model_card
from quaterion_models.saving.new_folder import find_folder, new_folder
from quaterion_models.saving.old_folder import is_old_config
from quaterion_models.saving.registry import type_name

if TYPE_CHECKING:
    from quaterion_models.model import SimilarityModel

_M = TypeVar("_M", bound="SimilarityModel")
_MOST_ENCODERS = 256
_TRIES = 10


def save_model(model: SimilarityModel, path: Path, *, card: str | ModelCard | None = None) -> None:
    """Writes a model into a folder.

    The folder is written beside its place and renamed, so that a crash leaves an older model there whole. Files of
    other names in an older model's folder stay.

    Args:
        model: The model.
        path: The folder.
        card: Text of README.md, or what is known of the model beside its parts.

    Raises:
        ModelFolderError: If the folder holds something else than a model, or the labels cannot be written.
    """
    if len(model.encoders) > _MOST_ENCODERS:
        raise ModelFolderError(f"a model folder holds up to {_MOST_ENCODERS} encoders, got {len(model.encoders)}")
    classes = model.class_weights
    try:
        labels = encode_value(model.labels)
        class_labels = None if classes is None else {"labels": encode_value(classes.labels), "cosine": classes.cosine}
    except TypeError as error:
        raise ModelFolderError(f"model.labels must be a list or dict of plain values: {error}") from error
    with new_folder(path, is_ours=is_model_folder, ours={CONFIG, HEAD_STATE, CLASSES_STATE, ENCODERS, CARD}) as folder:
        (folder / ENCODERS).mkdir()
        entries = []
        for key, name in folder_names(model.encoders).items():
            encoder = model.encoders[key]
            encoder_folder = folder / ENCODERS / name
            encoder_folder.mkdir()
            encoder.save(str(encoder_folder))
            entries.append(_entry(key, encoder))
        check_inside(folder, folder / ENCODERS)  # what would not be read again is not saved
        if model.head is not None:
            write_state(model.head, folder / HEAD_STATE)
        if classes is not None:
            write_state(classes, folder / CLASSES_STATE)
        config = {
            "format_version": FORMAT_VERSION,
            "encoders": entries,
            "head": head_to_spec(model.head) if model.head is not None else None,
            "labels": labels,
            "classes": class_labels,
        }
        write_json(folder / CONFIG, config)
        _as_readable_as(folder / CONFIG, folder / ENCODERS)
        text = card if isinstance(card, str) else model_card(model, card)
        (folder / CARD).write_text(text, encoding="utf-8", errors="replace")


def load_model(
    cls: type[_M],
    path: Path,
    *,
    classes: Sequence[type[nn.Module]] = (),
    encoders: Mapping[str, Encoder],
    head: EncoderHead | None = None,
) -> _M:
    """Reads a model from a folder.

    Args:
        cls: `SimilarityModel` or a subclass.
        path: The folder.
        classes: Classes of the caller's own that the folder may name.
        encoders: Built encoders by name; their state is read from the folder.
        head: A built head; its state is read from the folder.

    Returns:
        The model.

    Raises:
        ModelFolderError: If anything is missing, damaged, hostile, of a newer format or not known.
    """
    for _ in range(_TRIES):
        root = find_folder(path)
        if not root.is_dir():
            raise ModelFolderError(f"{path} is no folder: expected one that SimilarityModel.save wrote")
        before = _identity(root)
        try:
            model = _load_from(cls, root, classes, encoders, head)
        except Exception:
            if _identity(root) == before:
                raise
        else:
            if _identity(root) == before:
                return model
    raise ModelFolderError(f"{path} was replaced by another save {_TRIES} times while it was read. Try again later")


def _identity(root: Path) -> tuple[int, ...]:
    """Tells one folder from another that takes its place: its files must not be mixed with those of this one."""
    try:
        status = root.stat()
    except OSError:
        return ()
    return status.st_dev, status.st_ino, status.st_mtime_ns


def _load_from(
    cls: type[_M],
    root: Path,
    classes: Sequence[type[nn.Module]],
    encoders: Mapping[str, Encoder],
    head: EncoderHead | None,
) -> _M:
    config = root / CONFIG
    check_inside(root, config)
    content = read_json(config)
    if "format_version" not in content and is_old_config(content):
        raise ModelFolderError(
            f"{root} was saved by Quaterion 0.1. Convert it once: quaterion convert-model {root} NEW_FOLDER"
        )
    check_version(content, config)
    loaded = _load_encoders(root, content, classes, encoders)
    spec = field(content, "head", (dict, type(None)), config)
    if spec is not None:
        check_inside(root, root / HEAD_STATE)
        if head is None:
            head = head_from_spec(spec, root / HEAD_STATE, classes, where=f"{config}, head")
        else:
            read_state(head, root / HEAD_STATE)
    model = cls(loaded, head)
    try:
        model.labels = decode_value(content.get("labels"))
    except (ValueError, RecursionError) as error:
        raise ModelFolderError(f"{config}: labels: {error}") from error
    model.class_weights = _load_classes(root, content)
    return model


def _load_classes(root: Path, content: dict[str, Any]) -> ClassWeights | None:
    spec = content.get("classes")
    if spec is None:
        return None
    config, path = root / CONFIG, root / CLASSES_STATE
    if not isinstance(spec, dict):
        raise ModelFolderError(f"{config}: classes must be a dict, got {spec!r:.200}")
    check_inside(root, path)
    # The size comes from the file itself, so that nothing larger than the file is ever allocated.
    shape = state_shapes(path).get("weights", ())
    try:
        labels = decode_value(field(spec, "labels", list, config))
        classes = ClassWeights(labels, torch.zeros(shape, device="cpu"), cosine=field(spec, "cosine", bool, config))
    except (ValueError, RecursionError) as error:
        raise ModelFolderError(f"{config}: classes: {error}") from error
    read_state(classes, path)
    return classes


def _as_readable_as(example: Path, folder: Path) -> None:
    """Gives files the permissions of an ordinary new file: safetensors makes its own unreadable for others."""
    mode = example.stat().st_mode
    for entry in folder.rglob("*"):
        if entry.is_file() and not entry.is_symlink():
            entry.chmod(entry.stat().st_mode | mode)


def is_model_folder(path: Path) -> bool:
    """Tells whether a folder holds a saved model."""
    try:
        content = read_json(path / CONFIG)
    except ModelFolderError:
        return False
    return "format_version" in content and isinstance(content.get("encoders"), list)


def _entry(key: str, encoder: Encoder) -> dict[str, Any]:
    # Those of an encoder with a save of its own mean nothing here: it writes what it needs.
    own_way = type(encoder).save is not Encoder.save
    arguments = Arguments({}, {}) if own_way else encoder_arguments(encoder)
    return {
        "key": key,
        "type": type_name(type(encoder)),
        "args": arguments.values,
        "unrecorded": arguments.unrecorded,
        "embedding_size": encoder.embedding_size,
    }


def _load_encoders(
    root: Path, content: dict[str, Any], classes: Sequence[type[nn.Module]], given: Mapping[str, Encoder]
) -> dict[str, Encoder]:
    config = root / CONFIG
    entries = field(content, "encoders", list, config)
    if not 1 <= len(entries) <= _MOST_ENCODERS:
        raise ModelFolderError(f"{config} must list 1 to {_MOST_ENCODERS} encoders, it lists {len(entries)}")
    keys = []
    for entry in entries:
        if not isinstance(entry, dict):
            raise ModelFolderError(f"{config}: each encoder must be described by a dict, got {entry!r:.200}")
        keys.append(field(entry, "key", str, config))
    if len(set(keys)) != len(keys):
        raise ModelFolderError(f"{config} lists an encoder twice: {keys}")
    unknown = [key for key in given if key not in keys]
    if unknown:
        raise ModelFolderError(f"encoders= names {unknown}, but {config} has the encoders {keys}")
    loaded: dict[str, Encoder] = {}
    for entry, (key, name) in zip(entries, folder_names(keys).items(), strict=True):
        folder = root / ENCODERS / name
        check_inside(root, folder)
        where = f"{config}, encoder {key!r}"
        if key in given:
            loaded[key] = given[key]
            load_encoder_state(given[key], folder)
        else:
            try:
                loaded[key] = load_any_encoder(field(entry, "type", str, config), folder, classes, where=where)
            except RecursionError as error:
                raise ModelFolderError(f"{where} is nested too deeply") from error
        size = field(entry, "embedding_size", int, config)
        if loaded[key].embedding_size != size:
            raise ModelFolderError(
                f"{where} was saved with embedding_size {size}, it is {loaded[key].embedding_size} now"
            )
    return loaded
