"""The pages about the command lines, written from the commands themselves. Needs typer and numpy, not torch."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator
from typing import Any

PAGE = "reference/commands.md"


def commands_page() -> str:
    """The Markdown of the page: `quaterion`, each of its commands, and `quaterion-runtime`."""
    return "\n".join(["# Command lines", "", *_quaterion(), *_runtime()])


def link_targets() -> dict[str, str]:
    """`quaterion tune` and the like, to their places on the page."""
    names = re.findall(r"^#{2,3} `(.+)`", commands_page(), flags=re.MULTILINE)
    return {name: f"{PAGE}#{_anchor(name)}" for name in names if " " in name}


def _anchor(command: str) -> str:
    return command.replace(" ", "-")


def _quaterion() -> Iterator[str]:
    import typer

    from quaterion.cli.app import app

    root = typer.main.get_command(app)
    yield from _walk(root, root, "quaterion", 2)


def _walk(command: Any, root: Any, path: str, level: int) -> Iterator[str]:
    yield from _head(path, level)
    text, exit_codes = command.help or "", root.epilog
    yield from _paragraphs(text.replace(exit_codes, "") if command is not root else f"{text}\n\n{exit_codes}")
    context = command.make_context(path, [], resilient_parsing=True)
    for kind in ("argument", "option"):
        yield from _table(kind, list(_records(command, kind, context)))
    for name, below in getattr(command, "commands", {}).items():
        yield from _walk(below, root, f"{path} {name}", 3)


def _records(command: Any, kind: str, context: Any) -> Iterator[tuple[str, str]]:
    for one in command.params:
        record = one.get_help_record(context)
        if one.param_type_name == kind and record and "--help" not in one.opts:
            yield f"`{record[0].strip()}`", record[1]


def _runtime() -> Iterator[str]:
    from quaterion_runtime.__main__ import make_parser

    parser = make_parser()
    yield from _head(parser.prog, 2)
    yield from _paragraphs(parser.description or "")
    for action in parser._actions:  # noqa: SLF001 - argparse has no public way to look at a parser
        if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001
            for name, below in action.choices.items():
                yield from _parsed(below, f"{parser.prog} {name}")


def _parsed(parser: argparse.ArgumentParser, path: str) -> Iterator[str]:
    yield from _head(path, 3)
    yield from _paragraphs(parser.description or "")
    actions = [one for one in parser._actions if "--help" not in one.option_strings]  # noqa: SLF001
    yield from _table(
        "argument", [(f"`{one.dest.upper()}`", one.help or "") for one in actions if not one.option_strings]
    )
    yield from _table(
        "option",
        [
            (f"`{one.option_strings[0]}` `{one.metavar or one.dest.upper()}`", one.help or "")
            for one in actions
            if one.option_strings
        ],
    )
    yield from ["```text", (parser.epilog or "").strip(), "```", ""]


def _head(path: str, level: int) -> Iterator[str]:
    yield from [f"{'#' * level} `{path}` {{ #{_anchor(path)} }}", ""]


def _paragraphs(text: str) -> Iterator[str]:
    """The paragraphs of a help text; what follows "Example:" is shown as a command."""
    for paragraph in text.strip().split("\n\n"):
        prose, found, command = " ".join(paragraph.split()).partition("Example: ")
        if prose:
            yield from [prose.strip(), ""]
        if found:
            yield from ["```bash", command, "```", ""]


def _table(kind: str, rows: list[tuple[str, str]]) -> Iterator[str]:
    if rows:
        yield from [f"| {kind} | |", "|---|---|"]
        yield from (f"| {_cell(name)} | {_cell(text)} |" for name, text in rows)
        yield ""


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
