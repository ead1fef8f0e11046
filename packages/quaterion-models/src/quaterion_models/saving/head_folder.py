"""Heads as a type name, arguments and a state."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from quaterion_models.heads.encoder_head import EncoderHead
from quaterion_models.saving.allocation_limit import AllocationLimit
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

    Raises:
        ModelFolderError: If it has more heads and layers than `head_from_spec` would build.
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
    check_parts(spec, type(head).__name__)
    return {**spec, "unrecorded": unrecorded} if unrecorded else spec


def head_from_spec(spec: Any, state: Path, classes: Iterable[type], *, where: str) -> EncoderHead:
    """Builds a head from its description and its state.

    Args:
        spec: What `head_to_spec` gave, read from JSON.
        state: The safetensors file with its state.
        classes: Classes of the caller's own.
        where: File and entry, for messages.

    Returns:
        The head.

    Raises:
        ModelFolderError: If the description or the state is not understood or does not fit.
    """
    check_parts(spec, where)
    stored = sum(math.prod(shape) for shape in state_shapes(state).values())
    builder = _Builder(list(classes), where)
    try:
        # First without memory: what does not fit is told by names and shapes.
        with torch.device("meta"), AllocationLimit(stored):
            outline: EncoderHead | None = builder.head(spec)
    except ModelFolderError:
        raise
    except RecursionError as error:
        raise ModelFolderError(f"{where} is nested too deeply") from error
    except Exception:  # noqa: BLE001  # a constructor of the user's own may not work there
        outline = None
    if outline is not None:
        check_shapes(outline, state)
    try:
        # Loading draws no random numbers.
        with torch.random.fork_rng(devices=[]), torch.device("cpu"), AllocationLimit(stored):
            head = builder.head(spec)
    except ModelFolderError:
        raise
    except Exception as error:
        raise ModelFolderError(f"{where}: the head cannot be built from its arguments: {error}") from error
    read_state(head, state)
    return head


def check_parts(spec: Any, where: str) -> None:
    """Counts the heads and layers of a description, before any is built.

    Args:
        spec: The description.
        where: File and entry, for messages.

    Raises:
        ModelFolderError: If there are more than any head needs.
    """
    parts, values = 0, [spec]
    while values:
        value = values.pop()
        if isinstance(value, dict):
            layers = value.get("n_layers")
            parts += max(layers, 0) if isinstance(layers, int) else 0
            sizes = value.get("output_sizes")
            sizes = sizes.get("$tuple") if isinstance(sizes, dict) else sizes
            parts += len(sizes) if isinstance(sizes, list) else 0
            parts += ("$head" in value) + ("$layer" in value)
            values += value.values()
        elif isinstance(value, list):
            values += value
        if parts > _MOST_PARTS:
            raise ModelFolderError(f"{where} declares more than {_MOST_PARTS} heads and layers")


class _Builder:
    """Builds heads within heads."""

    def __init__(self, classes: list[type], where: str) -> None:
        self.classes = classes
        self.where = where

    def head(self, spec: Any) -> EncoderHead:
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
        return build(cls, values)

    def _special(self, tag: str, content: Any) -> Any:
        if tag == "$head":
            return self.head(content)
        if tag == "$layer":
            return layer_from_spec(content, self._decode, self.classes, where=self.where)
        return None

    def _decode(self, value: Any) -> Any:
        return decode_value(value, self._special)


def save_head(head: EncoderHead, path: Path) -> None:
    """Writes a head into a folder of its own; see `EncoderHead.save`."""
    path.mkdir(parents=True, exist_ok=True)
    write_state(head, path / HEAD_STATE)
    write_json(path / CONFIG, {"format_version": FORMAT_VERSION, "head": head_to_spec(head)})


def load_head(path: Path, *, classes: Sequence[type] = ()) -> EncoderHead:
    """Reads a head from a folder of its own, or from that of a model; see `EncoderHead.load`."""
    config = path / CONFIG
    for name in (CONFIG, HEAD_STATE):
        check_inside(path, path / name)
    content = read_json(config)
    check_version(content, config)
    spec = field(content, "head", dict, config)
    return head_from_spec(spec, path / HEAD_STATE, classes, where=f"{config}, head")
