"""Texts of any content, written so that they cannot break the form of a model card."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

_LONGEST = 300
# Also at the beginning of a line: what makes lists, rules and headings there; and what makes a link of an address.
_MARKDOWN = re.compile(r"([\\`*_{}\[\]<>#|~$&!]|^[-+=]|(?<=^\d)[.)](?= |$)|:(?=//)|(?<=\bwww)\.)")
_PLAIN_YAML = re.compile(r"[a-z][a-z0-9]+(?:[-_./][a-zA-Z0-9]+)*")
_YAML_WORDS = {"yes", "no", "on", "off", "true", "false", "null", "nan", "inf"}


def plain_text(value: Any, *, most: int = _LONGEST, escape: bool = True) -> str:
    r"""Writes a value as one line of Markdown that shows it and means nothing else.

    Args:
        value: Any value; what is no text is written as Python does.
        most: Most characters of it.
        escape: Whether to take the meaning from Markdown's own characters.

    Returns:
        The line.

    Example:
        >>> plain_text("<b>|a\nb*")
        '\\<b\\>\\|a b\\*'
    """
    text = value if isinstance(value, str) else str(value)
    line = " ".join("".join(one if one.isprintable() else " " for one in text[: most + 1]).split())
    if len(text) > most:
        line = line[:most] + "…"
    return _MARKDOWN.sub(r"\\\1", line) if escape else line.replace('"', "'").replace("\\", "/")


def code_text(value: Any) -> str:
    """Writes a value as Markdown's code, within a line or a cell.

    Args:
        value: Any value.

    Returns:
        The code; backticks and bars in it become other characters.

    Example:
        >>> code_text("a`|b")
        "`a'¦b`"
    """
    line = plain_text(value, escape=False).replace("`", "'").replace("|", "¦")
    return f"`{line}`" if line else "(no name)"


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Writes a table of Markdown.

    Args:
        header: Titles of the columns.
        rows: Cells that are Markdown already.

    Returns:
        The table.
    """
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def front_matter(metadata: Mapping[str, Any]) -> str:
    """Writes metadata as the YAML that stands in front of a card.

    Args:
        metadata: Names to texts, lists of texts, or nests of lists and dicts.

    Returns:
        YAML between two lines of dashes. Nests are written as JSON, which YAML contains.
    """
    lines = []
    for name, value in metadata.items():
        if isinstance(value, list) and all(isinstance(one, str) for one in value):
            lines += [f"{name}:", *(f"- {_scalar(one)}" for one in value)]
        else:
            lines.append(f"{name}: {_scalar(value)}")
    return "\n".join(["---", *lines, "---"])


def _scalar(value: Any) -> str:
    if isinstance(value, str) and _PLAIN_YAML.fullmatch(value) and value not in _YAML_WORDS:
        return value
    # Written as it is, not in ASCII: JSON's pairs of escapes for one character mean two characters in YAML.
    return json.dumps(_printable(value), ensure_ascii=False, allow_nan=False)


def _printable(value: Any) -> Any:
    if isinstance(value, str):
        return "".join(one if one.isprintable() else " " for one in value[:_LONGEST])
    if isinstance(value, dict):
        return {key: _printable(one) for key, one in value.items()}
    return [_printable(one) for one in value] if isinstance(value, list) else value
