"""Heads as a type name, arguments and a state."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from quaterion_models.heads.encoder_head import EncoderHead
from quaterion_models.saving.arguments import (
    build,
    decode_arguments,
    decode_value,
    encode_arguments,
    encode_value,
    recorded_arguments,
)
from quaterion_models.saving.files import (
    CONFIG,
    FORMAT_VERSION,
    HEAD_STATE,
    ModelFolderError,
    check_inside,
    check_shapes,
    check_version,
    field,
    read_json,
    read_state,
    state_shapes,
    write_json,
    write_state,
)
from quaterion_models.saving.layers import layer_from_spec, layer_to_spec
from quaterion_models.saving.registry import find_type, type_name

_MOST_PARTS = 1000


def head_to_spec(head: EncoderHead) -> dict[str, Any]:
    """Describes a head, with the heads and layers inside it, by type names and arguments.

    Args:
        head: The head.

    Returns:
        `{"type", "args"}`, and `"unrecorded"` with the types of arguments that JSON cannot hold.
    """

    def special(value: Any) -> Any:
        if isinstance(value, EncoderHead):
            return {"$head": head_to_spec(value)}
        if isinstance(value, nn.Module):
            return {"$layer": layer_to_spec(value, lambda part: encode_value(part, special))}
        return None

    encoded = encode_arguments(head.get_config_dict(), special)
    unrecorded = dict(encoded.unrecorded)
    recorded = recorded_arguments(head)
    if recorded is not None and type(head).get_config_dict is EncoderHead.get_config_dict:
        unrecorded |= recorded.unrecorded
    spec: dict[str, Any] = {"type": type_name(type(head)), "args": encoded.values}
    return {**spec, "unrecorded": unrecorded} if unrecorded else spec


def head_from_spec(spec: Any, state: Path, classes: Iterable[type], *, where: str) -> EncoderHead:
    """Builds a head from its description and its state.

    Args:
        spec: What :func:`head_to_spec` gave, read from JSON.
        state: The safetensors file with its state.
        classes: Classes of the caller's own.
        where: File and entry, for messages.

    Returns:
        The head.

    Raises:
        ModelFolderError: If the description or the state is not understood or does not fit.
    """
    tensors = len(state_shapes(state))
    classes = list(classes)
    try:
        # First without memory: a file may declare any size, and only what it also stores is allocated.
        with torch.device("meta"):
            outline: EncoderHead | None = _Builder(classes, tensors, where).head(spec)
    except ModelFolderError:
        raise
    except RecursionError as error:
        raise ModelFolderError(f"{where} is nested too deeply") from error
    except Exception:  # noqa: BLE001  # a constructor of the user's own may not work there
        outline = None
    if outline is not None:
        check_shapes(outline, state)
    try:
        with torch.random.fork_rng(devices=[]), torch.device("cpu"):  # loading draws no random numbers
            head = _Builder(classes, tensors, where).head(spec)
    except ModelFolderError:
        raise
    except Exception as error:
        raise ModelFolderError(f"{where}: the head cannot be built from its arguments: {error}") from error
    read_state(head, state)
    return head


class _Builder:
    """Builds heads within heads, counting them."""

    def __init__(self, classes: list[type], tensors: int, where: str) -> None:
        self.classes = classes
        self.tensors = tensors
        self.where = where
        self.parts = 0

    def head(self, spec: Any) -> EncoderHead:
        self._count()
        if not isinstance(spec, dict) or not isinstance(spec.get("type"), str):
            raise ModelFolderError(f'{self.where}: a head must be described by "type" and "args"')
        args = spec.get("args")
        if not isinstance(args, dict):
            raise ModelFolderError(f'{self.where}: "args" of {spec["type"]!r} must be a dict')
        if spec.get("unrecorded"):
            raise ModelFolderError(
                f"{self.where}: arguments of {spec['type']!r} could not be saved: {spec['unrecorded']}. "
                "Build the head and pass it as head= to SimilarityModel.load; its state is read from the folder"
            )
        cls = find_type(spec["type"], EncoderHead, self.classes, where=self.where)  # type: ignore[type-abstract]
        try:
            values = decode_arguments(args, self._special)
        except ModelFolderError:
            raise
        except ValueError as error:
            raise ModelFolderError(f"{self.where}: arguments of {spec['type']!r}: {error}") from error
        layers = values.get("n_layers")
        if isinstance(layers, int) and layers > self.tensors:
            raise ModelFolderError(f"{self.where} declares {layers} layers, its state has {self.tensors} tensors")
        return build(cls, values)

    def _special(self, tag: str, content: Any) -> Any:
        if tag == "$head":
            return self.head(content)
        if tag == "$layer":
            self._count()
            return layer_from_spec(content, self._decode, self.classes, where=self.where)
        return None

    def _decode(self, value: Any) -> Any:
        return decode_value(value, self._special)

    def _count(self) -> None:
        self.parts += 1
        if self.parts > _MOST_PARTS:
            raise ModelFolderError(f"{self.where} declares more than {_MOST_PARTS} heads and layers")


def save_head(head: EncoderHead, path: Path) -> None:
    """Writes a head into a folder of its own; see `EncoderHead.save`."""
    path.mkdir(parents=True, exist_ok=True)
    write_state(head, path / HEAD_STATE)
    write_json(path / CONFIG, {"format_version": FORMAT_VERSION, "head": head_to_spec(head)})


def load_head(path: Path, *, classes: Sequence[type] = ()) -> EncoderHead:
    """Reads a head from a folder of its own, or from that of a model; see `EncoderHead.load`."""
    config = path / CONFIG
    content = read_json(config)
    check_version(content, config)
    for name in (CONFIG, HEAD_STATE):
        check_inside(path, path / name)
    spec = field(content, "head", dict, config)
    return head_from_spec(spec, path / HEAD_STATE, classes, where=f"{config}, head")
