"""The exported folder: read and checked before anything in it is loaded."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

CONFIG = "runtime.json"
KIND = "quaterion-runtime"
FORMAT_VERSION = 1
QUERY, DOCUMENT = "query", "document"

LARGEST_CONFIG = 2**22
MOST_GRAPHS = 16
MOST_INPUTS = 256
MOST_AXES = 16
MOST_NUMBERS = 2**24
"""Largest embedding size, image side or token limit that is believed."""

_ACCEPTED = ("text", "image", "vector")
_PRECISIONS = ("float32", "float16", "int8")


class RuntimeFolderError(ValueError):
    """An exported folder is missing, incomplete, damaged, hostile or of a newer format."""


@dataclass(frozen=True)
class TextInput:
    """Text that a graph takes as tokens.

    Attributes:
        field: What is picked from a record first; None for objects that are text themselves.
        tokenizer: The tokenizer's file.
        max_length: Most tokens of a text.
        pad_id: Token that fills shorter texts.
        pad_type_id: Its type.
        pad_left: Whether the padding stands before the text.
        prompts: What is put before a text, by side.
        tensors: `input_ids`, `attention_mask` and where there are any `token_type_ids` to names of graph inputs.
        empty_id: Token that a text without any is given; None leaves it as one of padding alone.
    """

    field: str | int | None
    tokenizer: Path
    max_length: int
    pad_id: int
    pad_type_id: int
    pad_left: bool
    prompts: Mapping[str, str]
    tensors: Mapping[str, str]
    empty_id: int | None = None


@dataclass(frozen=True)
class PixelsInput:
    """Images that a graph takes as pixels.

    Attributes:
        field: What is picked from a record first.
        resize: `{"height", "width"}` or `{"shortest_edge"}`, in pixels; None leaves images as they are.
        crop: Height and width of the middle that is cut out; None cuts nothing.
        resample: Name of Pillow's filter.
        rescale: Factor that the values 0..255 are multiplied with.
        mean: Subtracted from each channel after that.
        std: Divided by after that.
        tensors: `pixels` to the name of a graph input, float32 `[B, 3, H, W]`.
    """

    field: str | int | None
    resize: Mapping[str, int] | None
    crop: tuple[int, int] | None
    resample: str
    rescale: float
    mean: tuple[float, ...]
    std: tuple[float, ...]
    tensors: Mapping[str, str]


@dataclass(frozen=True)
class ArrayInput:
    """Vectors or other arrays of numbers that go into a graph as they are.

    Attributes:
        field: What is picked from a record first.
        shape: Of one object.
        dtype: `"float32"`, `"int64"`, ...
        tensors: `array` to the name of a graph input, `[B, *shape]`.
    """

    field: str | int | None
    shape: tuple[int, ...]
    dtype: str
    tensors: Mapping[str, str]


GraphInput: TypeAlias = TextInput | PixelsInput | ArrayInput


@dataclass(frozen=True)
class Graph:
    """One file that computes embeddings.

    Attributes:
        file: The ONNX file.
        digest: The checksum that it must have.
        accepts: Of several graphs, the kind of objects that this one takes; None for all.
        inputs: What it computes embeddings of.
        outputs: `"query"` and `"document"` to names of graph outputs.
    """

    file: Path
    digest: str
    accepts: str | None
    inputs: tuple[GraphInput, ...]
    outputs: Mapping[str, str]


@dataclass(frozen=True)
class RuntimeFolder:
    """What a folder says about its model.

    Attributes:
        embedding_size: Length of the embeddings.
        dimensions: Lengths that they may be cut to; None where they were not trained for that.
        normalized: Whether they have length 1.
        two_sided: Whether queries and documents are embedded differently.
        graphs: The graphs.
    """

    embedding_size: int
    dimensions: tuple[int, ...] | None
    normalized: bool
    two_sided: bool
    graphs: tuple[Graph, ...]


def read_folder(path: Path) -> RuntimeFolder:
    """Reads and checks an exported folder; nothing in it is run.

    Args:
        path: The folder.

    Returns:
        What it holds.

    Raises:
        RuntimeFolderError: If a file is missing, damaged or not what the folder says, a name or link leads out of the
            folder, or the format is newer.
    """
    if not path.is_dir():
        raise RuntimeFolderError(f"{path} is no folder: expected one that `quaterion export` wrote")
    reader = _Reader(path)
    content = _Fields(_read_json(_inside(path, CONFIG)), str(path / CONFIG))
    _check_version(content)
    content.choice("precision", _PRECISIONS)
    graphs = content.take("graphs", list)
    if not 1 <= len(graphs) <= MOST_GRAPHS:
        raise content.error("graphs", f"must be a list of 1 to {MOST_GRAPHS}, it has {len(graphs)}")
    dimensions = content.take("dimensions", list, optional=True)
    size = content.number("embedding_size")
    if dimensions is not None and not all(type(one) is int and 0 < one <= size for one in dimensions):
        raise content.error("dimensions", f"must be numbers from 1 to {size}, they are {dimensions!r:.200}")
    described = tuple(reader.graph(content.nested(f"graphs[{number}]", one), len(graphs))
                      for number, one in enumerate(graphs))  # fmt: skip
    accepted = [graph.accepts for graph in described]
    if len(set(accepted)) < len(accepted):
        raise content.error("graphs", f"must accept objects of different kinds, they accept {accepted}")
    return RuntimeFolder(
        embedding_size=size,
        dimensions=None if dimensions is None else tuple(dimensions),
        normalized=content.take("normalized", bool),
        two_sided=content.take("sides", list, optional=True) is not None,
        graphs=described,
    )


def read_file(path: Path, *, most: int, what: str) -> bytes:
    """Reads a file of bounded size.

    Args:
        path: The file.
        most: Bytes that it may have.
        what: What it should be, for messages.

    Returns:
        Its content.

    Raises:
        RuntimeFolderError: If it is larger, or cannot be read.
    """
    try:
        with path.open("rb") as file:
            content = file.read(min(path.stat().st_size, most) + 1)  # and if it has grown meanwhile, no more
    except OSError as error:
        raise RuntimeFolderError(f"{path} cannot be read: {error}") from error
    if len(content) > most:
        raise RuntimeFolderError(f"{path} is larger than {most} bytes: this is no {what}")
    return content


class _Fields:
    """A JSON object whose values are taken out one by one, each checked."""

    def __init__(self, content: Any, where: str) -> None:
        self._where = where
        if not isinstance(content, dict):
            raise RuntimeFolderError(f"{where} must be an object, it is {content!r:.200}")
        self._content = content

    def error(self, name: str, problem: str) -> RuntimeFolderError:
        return RuntimeFolderError(f"{self._where}: {name} {problem}. Export the model again")

    def nested(self, name: str, content: Any) -> _Fields:
        return _Fields(content, f"{self._where}, {name}")

    def take(self, name: str, kind: type | tuple[type, ...], *, optional: bool = False) -> Any:
        value = self._content.get(name)
        if optional and value is None:
            return None
        kinds = kind if isinstance(kind, tuple) else (kind,)
        if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
            raise self.error(name, f"must be {' or '.join(one.__name__ for one in kinds)}, it is {value!r:.200}")
        return value

    def number(self, name: str, *, least: int = 1, most: int = MOST_NUMBERS) -> int:
        value: int = self.take(name, int)
        if not least <= value <= most:
            raise self.error(name, f"must lie in {least}..{most}, it is {value}")
        return value

    def choice(self, name: str, allowed: tuple[str, ...], *, optional: bool = False) -> Any:
        value = self.take(name, str, optional=optional)
        if value is not None and value not in allowed:
            raise self.error(name, f"must be one of {list(allowed)}, it is {value!r:.200}")
        return value

    def texts(self, name: str, allowed: tuple[str, ...], *, needed: tuple[str, ...] = ()) -> dict[str, str]:
        value: dict[str, Any] = self.take(name, dict)
        if not set(needed) <= value.keys() <= set(allowed) or not all(isinstance(one, str) for one in value.values()):
            raise self.error(name, f"must hold {list(needed or allowed)} with texts, it is {value!r:.200}")
        return value

    def numbers(self, name: str, count: int) -> tuple[float, ...]:
        value: list[Any] = self.take(name, list)
        if len(value) != count or not all(_is_finite(one) for one in value):
            raise self.error(name, f"must be a list of {count} finite numbers, it is {value!r:.200}")
        return tuple(map(float, value))

    def shape(self, name: str) -> tuple[int, ...]:
        value: list[Any] = self.take(name, list)
        if not 1 <= len(value) <= MOST_AXES or not all(type(one) is int and 1 <= one <= MOST_NUMBERS for one in value):
            raise self.error(name, f"must be a list of 1 to {MOST_AXES} sizes, it is {value!r:.200}")
        return tuple(value)


class _Reader:
    """Builds the parts of a folder."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def graph(self, fields: _Fields, graphs: int) -> Graph:
        inputs = fields.take("inputs", list)
        if not 1 <= len(inputs) <= MOST_INPUTS:
            raise fields.error("inputs", f"must be a list of 1 to {MOST_INPUTS}, it has {len(inputs)}")
        return Graph(
            file=self._file(fields, "file", ".onnx"),
            digest=fields.take("digest", str),
            accepts=fields.choice("accepts", _ACCEPTED, optional=graphs == 1),
            inputs=tuple(self.input(fields.nested(f"inputs[{number}]", one)) for number, one in enumerate(inputs)),
            outputs=fields.texts("outputs", (QUERY, DOCUMENT), needed=(QUERY, DOCUMENT)),
        )

    def input(self, fields: _Fields) -> GraphInput:
        kind = fields.choice("kind", ("text", "pixels", "vector", "array"))
        field = fields.take("field", (str, int), optional=True)
        if kind == "text":
            no_empty_id = fields.take("empty_id", int, optional=True) is None
            return TextInput(
                field=field,
                tokenizer=self._file(fields, "tokenizer", ".json"),
                max_length=fields.number("max_length"),
                pad_id=fields.number("pad_id", least=0, most=2**31),
                pad_type_id=fields.number("pad_type_id", least=0, most=2**31),
                pad_left=fields.choice("padding_side", ("left", "right")) == "left",
                prompts=fields.texts("prompts", (QUERY, DOCUMENT), needed=(QUERY, DOCUMENT)),
                tensors=fields.texts(
                    "tensors", ("input_ids", "attention_mask", "token_type_ids"), needed=("input_ids",)
                ),
                empty_id=None if no_empty_id else fields.number("empty_id", least=0, most=2**31),
            )
        if kind == "pixels":
            return self._pixels(fields, field)
        shape = (fields.number("size"),) if kind == "vector" else fields.shape("shape")
        return ArrayInput(
            field=field,
            shape=shape,
            dtype="float32" if kind == "vector" else fields.choice("dtype", ("float32", "float64", "int64", "int32")),
            tensors=fields.texts("tensors", ("array",), needed=("array",)),
        )

    def _pixels(self, fields: _Fields, field: str | int | None) -> PixelsInput:
        resize: dict[str, Any] | None = fields.take("resize", dict, optional=True)
        if resize is not None:
            nested = fields.nested("resize", resize)
            names = ("shortest_edge",) if "shortest_edge" in resize else ("height", "width")
            resize = {name: nested.number(name, most=2**14) for name in names}
        crop: dict[str, Any] | None = fields.take("crop", dict, optional=True)
        cut = None if crop is None else fields.nested("crop", crop)
        mean, std, rescale = fields.numbers("mean", 3), fields.numbers("std", 3), fields.take("rescale", (int, float))
        if not all(std):
            raise fields.error("std", f"must not have zeros, it is {list(std)}")
        if not _is_finite(rescale):
            raise fields.error("rescale", f"must be a finite number, it is {rescale!r:.200}")
        return PixelsInput(
            field=field,
            resize=resize,
            crop=None if cut is None else (cut.number("height", most=2**14), cut.number("width", most=2**14)),
            resample=fields.choice("resample", ("nearest", "box", "bilinear", "hamming", "bicubic", "lanczos")),
            rescale=float(rescale),
            mean=mean,
            std=std,
            tensors=fields.texts("tensors", ("pixels",), needed=("pixels",)),
        )

    def _file(self, fields: _Fields, name: str, suffix: str) -> Path:
        value: str = fields.take(name, str)
        plain = value == Path(value).name and not set(value) & set("\\/:\0") and not value.startswith(".")
        if not plain or not value.endswith(suffix):
            raise fields.error(name, f"must be the plain name of a {suffix} file in the folder, it is {value!r:.200}")
        return _inside(self._root, value)


def _inside(root: Path, name: str) -> Path:
    path = root / name
    if not path.is_file():
        raise RuntimeFolderError(f"{path} is missing: this is no complete exported folder. Export the model again")
    if path.is_symlink() and not any(path.resolve().is_relative_to(folder) for folder in _allowed_folders(root)):
        raise RuntimeFolderError(f"{path} is a link that leads out of the folder: not followed. Copy the files instead")
    return path


def _allowed_folders(root: Path) -> list[Path]:
    """Where files may lie: in the folder, and of one in the cache of the Hugging Face Hub among that model's blobs."""
    real = root.resolve()
    for folder in (real, *real.parents):
        repository = folder.parent.parent
        if folder.parent.name == "snapshots" and repository.name.startswith("models--"):
            return [real, repository / "blobs"]
    return [real]


def _is_finite(value: Any) -> bool:
    try:
        return type(value) in (int, float) and math.isfinite(value)
    except OverflowError:  # a whole number beyond all floats
        return False


def _read_json(path: Path) -> Any:
    content = read_file(path, most=LARGEST_CONFIG, what="configuration")
    try:
        return json.loads(content)
    except (ValueError, RecursionError) as error:
        raise RuntimeFolderError(f"{path} is damaged: {error!s:.200}. Export the model again") from error


def _check_version(content: _Fields) -> None:
    content.choice("kind", (KIND,))
    version = content.number("format_version", most=2**31)
    if version > FORMAT_VERSION:
        raise RuntimeFolderError(
            f"the folder has format_version {version}, this library reads up to {FORMAT_VERSION}. Install a newer one: "
            "pip install --upgrade quaterion-runtime"
        )
