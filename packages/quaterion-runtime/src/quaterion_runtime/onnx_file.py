"""The bytes of a graph: read once and checked, so that what is loaded is what was checked."""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import blake2b
from pathlib import Path

from quaterion_runtime.folder import RuntimeFolderError, read_file

LARGEST_FILE = 2**31 - 1  # bytes; protobuf takes no longer message
MOST_FIELDS = 2**22  # of all messages together: far more than any model has, few enough to be read through in seconds
DEEPEST = 64  # messages within each other; a model without subgraphs has 5

_VARINT, _FIXED_64, _BYTES, _FIXED_32 = 0, 1, 2, 5
_FIXED_SIZES = {_FIXED_64: 8, _FIXED_32: 4}

# Numbers of the fields, in onnx.proto, that lead to tensors: {message: {field: the message that it holds}}.
_LEADS_TO = {
    "Model": {7: "Graph", 20: "Training", 25: "Function"},
    "Training": {1: "Graph", 2: "Graph"},
    "Function": {7: "Node", 11: "Attribute"},
    "Graph": {1: "Node", 5: "Tensor", 15: "SparseTensor"},
    "Node": {5: "Attribute"},
    "Attribute": {5: "Tensor", 6: "Graph", 10: "Tensor", 11: "Graph", 22: "SparseTensor", 23: "SparseTensor"},
    "SparseTensor": {1: "Tensor", 2: "Tensor"},
}
_EXTERNAL_DATA, _DATA_LOCATION = 13, 14  # of a tensor


def read_graph_file(file: Path, digest: str) -> bytes:
    """Reads an ONNX file whose checksum is known, and that needs no other file.

    onnxruntime would read the data of a tensor from any file, or any address in memory, that the tensor names. So all
    tensors are looked through, those of subgraphs and functions too, message by message: a search for what such a
    tensor usually looks like would miss other encodings of the same.

    Args:
        file: The file.
        digest: Its checksum.

    Returns:
        Its content.

    Raises:
        RuntimeFolderError: If its checksum is another one, it is no ONNX file, or a tensor's data lie elsewhere.
    """
    content = read_file(file, most=LARGEST_FILE, what="ONNX file")
    if blake2b(content, digest_size=16).hexdigest() != digest:
        raise RuntimeFolderError(f"{file} is damaged or truncated: its checksum is another one. Export the model again")
    try:
        _Checker().check(memoryview(content), "Model", DEEPEST)
    except _MalformedError as error:
        raise RuntimeFolderError(f"{file} is no ONNX file: {error}") from None
    except _ElsewhereError:
        raise RuntimeFolderError(
            f"{file} keeps tensors in other files: expected a file that is complete alone"
        ) from None
    return content


class _MalformedError(Exception):
    """It is no message of protobuf, or none that an exported model has."""


class _ElsewhereError(Exception):
    """A tensor's data lie elsewhere."""


class _Checker:
    """Walks through a message and those in it."""

    def __init__(self) -> None:
        self._fields = 0

    def check(self, message: memoryview, kind: str, deepest: int) -> None:
        if not deepest:
            raise _MalformedError("its messages are nested deeper than those of a model")
        leads_to = _LEADS_TO.get(kind, {})
        for number, wire_type, value in _fields_of(message):
            self._fields += 1
            if self._fields > MOST_FIELDS:
                raise _MalformedError(f"it has more than {MOST_FIELDS} fields")
            if kind == "Tensor" and (number == _EXTERNAL_DATA or (number == _DATA_LOCATION and value != 0)):
                raise _ElsewhereError
            if number in leads_to and wire_type == _BYTES and isinstance(value, memoryview):
                self.check(value, leads_to[number], deepest - 1)


def _fields_of(message: memoryview) -> Iterator[tuple[int, int, int | memoryview]]:
    """Number, wire type and value of each field: a number for a varint, else its bytes."""
    place = 0
    while place < len(message):
        key, place = _varint(message, place)
        if not 8 <= key < 2**32:  # readers cut longer ones off, each in its own way
            raise _MalformedError("it has a field without a number")
        number, wire_type = key >> 3, key & 7
        if wire_type == _VARINT:
            value, place = _varint(message, place)
            yield number, wire_type, value
            continue
        if wire_type == _BYTES:
            size, place = _varint(message, place)
        elif wire_type in _FIXED_SIZES:
            size = _FIXED_SIZES[wire_type]
        else:
            raise _MalformedError(f"it has a field of wire type {wire_type}")
        if size > len(message) - place:
            raise _MalformedError("it ends within a field")
        yield number, wire_type, message[place : place + size]
        place += size


def _varint(message: memoryview, place: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if place >= len(message):
            raise _MalformedError("it ends within a number")
        byte = message[place]
        place += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value & (2**64 - 1), place
    raise _MalformedError("a number has more than ten bytes")
