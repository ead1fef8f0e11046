"""JSON from a stranger: no larger than what it can mean, and nothing in it that two readers could read differently."""

from __future__ import annotations

import json
import math
import os
import stat
from pathlib import Path
from typing import Any

_LARGEST = 64 * 2**20
_MOST_VALUES = 2**22  # so that what is read takes hundreds of megabytes at the most


def read_bytes(path: Path) -> bytes:
    """Reads a file of a size that JSON here may have.

    Args:
        path: The file.

    Returns:
        Its content.

    Raises:
        ValueError: If it is too large, or no file.
        OSError: If it cannot be read.
    """
    # Opened without waiting: what was a file a moment ago may be a pipe now, that nobody ever writes to.
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    with os.fdopen(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise ValueError("it is neither a file nor a folder")
        content = b"" if status.st_size > _LARGEST else file.read(_LARGEST + 1)
    if status.st_size > _LARGEST or len(content) > _LARGEST:
        raise ValueError(f"it is larger than {_LARGEST} bytes")
    return content


def parse(text: bytes) -> Any:
    """Reads JSON.

    Args:
        text: UTF-8.

    Returns:
        Its value.

    Raises:
        ValueError: If it is no JSON, is too large, or has a name twice in one object or a number that JSON does not
            know.
        RecursionError: If it is nested beyond what Python can follow.
    """
    check_size(text)
    return json.loads(text, object_pairs_hook=_object, parse_constant=_number, parse_float=_number)


def check_size(text: bytes) -> None:
    """Checks that JSON is of a size that `parse` reads.

    Args:
        text: JSON.

    Raises:
        ValueError: If it is not.
    """
    # Each value but the first follows one of these bytes, so their number bounds that of the values.
    values = sum(text.count(mark) for mark in (b",", b"[", b"{"))
    if values > _MOST_VALUES or len(text) > _LARGEST:
        raise ValueError(
            f"about {values} values in {len(text)} bytes, where a model's configuration has up to {_MOST_VALUES} "
            f"values in {_LARGEST} bytes, labels included"
        )


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) != len(pairs):
        seen: set[str] = set()
        twice = next(name for name, _ in pairs if name in seen or seen.add(name))  # type: ignore[func-returns-value]
        raise ValueError(f"the name {twice!r:.100} stands twice in one object")
    return content


def _number(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text:.100} is no number of JSON")
    return number
