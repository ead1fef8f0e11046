"""The demo's data: what Python's standard library documents, as pairs of a description and an entry."""

import json
import re
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from quaterion.demo import walker

__all__ = ["Entry", "Split", "count_modules", "read_standard_library", "split_entries"]

MAX_RESTARTS = 5
_WORD_ENDS = re.compile(r"[._]+|(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")


@dataclass(frozen=True, slots=True)
class Entry:
    """A public function, class or method of the standard library.

    Args:
        name: Qualified name, such as `heapq.nlargest`.
        kind: `"function"`, `"class"` or `"method"`.
        signature: Parameters in parentheses.
        description: First paragraph of its documentation.

    Example:
        >>> entry = Entry("logging.Formatter.formatTime", "method", "(record, datefmt=None)", "Return the time.")
        >>> entry.call
        'logging.Formatter.formatTime(record, datefmt=None)'
        >>> entry.text
        'format time (method): logging.Formatter.formatTime(record, datefmt=None)'
    """

    name: str
    kind: str
    signature: str
    description: str

    @property
    def call(self) -> str:
        """Qualified name and signature."""
        return self.name + self.signature

    @property
    def text(self) -> str:
        """What the encoder reads: name and signature, after the name's words and the kind.

        Sentence encoders know words, and few identifiers.
        """
        words = " ".join(_WORD_ENDS.sub(" ", self.name.rpartition(".")[2]).lower().split())
        return f"{words} ({self.kind}): {self.call}"


@dataclass(frozen=True, slots=True)
class Split:
    """Numbers of the entries that train, choose the best epoch, and test; each in rising order.

    Args:
        train: Entries to learn from.
        validation: Entries whose descriptions choose the epoch.
        test: Entries whose descriptions are searched for in the end.
    """

    train: list[int]
    validation: list[int]
    test: list[int]


def count_modules() -> int:
    """Number of modules that `read_standard_library` imports."""
    return len(walker.module_names())


def read_standard_library(on_module: Callable[[], object] = lambda: None) -> list[Entry]:
    """Reads the documentation of the standard library of this Python, in an interpreter of its own.

    Modules that fail when they are imported are left out; so are those that end the interpreter or hang.

    Args:
        on_module: Called as each module is imported.

    Returns:
        The entries, in the same order in every run.

    Raises:
        RuntimeError: The interpreter does not come to an end.
    """
    skipped: list[str] = []
    for _ in range(MAX_RESTARTS):
        entries, fatal = _walk(skipped, on_module)
        if fatal is None:
            return entries
        skipped.append(fatal)
    raise RuntimeError(
        f"Reading the standard library ended early {MAX_RESTARTS} times, in the modules {skipped}. "
        f"To see why, run: {sys.executable} -I -S {walker.__file__}"
    )


def _walk(skipped: Sequence[str], on_module: Callable[[], object]) -> tuple[list[Entry], str | None]:
    # -I and -S: no packages, no environment variables, no files that run when Python starts.
    command = [sys.executable, "-I", "-S", str(Path(walker.__file__)), *skipped]
    entries: list[Entry] = []
    module = ""
    with subprocess.Popen(  # noqa: S603 - this interpreter, and a file of this package
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, encoding="utf-8"
    ) as process:
        try:
            for line in process.stdout or ():
                match _message(line):
                    case ["module", str(module)]:
                        on_module()
                    case ["entry", *fields]:
                        entries.append(Entry(*fields))
                    case ["end"]:
                        return entries, None
        finally:
            process.kill()
    return entries, module


def _message(line: str) -> Any:
    try:
        return json.loads(line)
    except ValueError:  # a traceback of an interpreter that gave up
        return None


def split_entries(entries: Sequence[Entry], *, test: float = 0.2, validation: float = 0.1, seed: int = 0) -> Split:
    """Splits entries at random; those of equal description or equal text stay together.

    Args:
        entries: The entries.
        test: Share of all entries that test.
        validation: Share of the remaining entries that choose the epoch.
        seed: Seed of the draw.

    Returns:
        The parts.

    Raises:
        ValueError: There are too few entries for three parts.

    Example:
        >>> entries = [Entry(f"m.f{i}", "function", "()", f"Does {i}.") for i in range(10)]
        >>> split = split_entries(entries)
        >>> len(split.train), len(split.validation), len(split.test)
        (7, 1, 2)
    """
    groups = _groups(entries)
    drawn = torch.randperm(len(groups), generator=torch.Generator().manual_seed(seed)).tolist()
    parts: list[list[int]] = [[], [], []]
    wanted = [round(len(entries) * test), round(len(entries) * (1 - test) * validation), len(entries)]
    place = 0
    for number in drawn:
        while len(parts[place]) >= wanted[place]:
            place += 1
        parts[place] += groups[number]
    if not all(parts):
        raise ValueError(
            f"{len(entries)} entries are too few to train, validate and test with: expected 20 or more. "
            "Is the standard library of this Python complete?"
        )
    tested, validated, trained = map(sorted, parts)
    return Split(train=trained, validation=validated, test=tested)


def _groups(entries: Sequence[Entry]) -> list[list[int]]:
    """Entries that share a description or a text, directly or through others, in the order of their first."""
    group_of: dict[tuple[str, str], list[int]] = {}
    for number, entry in enumerate(entries):
        keys = ("description", entry.description), ("text", entry.text)
        joined = [number]
        for group in {id(group_of[key]): group_of[key] for key in keys if key in group_of}.values():
            joined += group
        members = {("description", entries[i].description) for i in joined} | {
            ("text", entries[i].text) for i in joined
        }
        for key in members:
            group_of[key] = joined
    distinct = {id(group): sorted(group) for group in group_of.values()}
    return sorted(distinct.values())
