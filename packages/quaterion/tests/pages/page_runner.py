"""Runs the blocks of a page one after the other, in a folder of their own and with what the page's inputs prepare."""

import contextlib
import importlib.util
import io
import linecache
import os
import re
import runpy
import shlex
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from typer.testing import CliRunner

from page_blocks import ROOT, Block, blocks_of, commands_in, is_excerpt
from quaterion.cli.app import app

ENCODER = "sentence-transformers/all-MiniLM-L6-v2"
NEVER = {"pip", "make", "git", "docker", "apt-get", "conda", "uv", "torchrun", "srun", "tail", "cd"}
OPERATORS = {"|", ">", ">>", "<", "&&", ";"}
HELP = """
Every block of a page is run, in an empty folder and in order. If this one needs files, names or a smaller size than
readers would take, prepare them in {inputs}. If it cannot be run here, put <!-- not run: WHY --> on the line above."""


@dataclass
class Run:
    """A page that is run.

    Attributes:
        page: Its place in the repository.
        request: Of pytest: for fixtures.
        names: What its Python blocks see and define.
        replace: Texts of blocks, by what is run in their place.
        printed: Lines that Python blocks printed.
        answers: What each command printed.
    """

    page: str
    request: Any
    names: dict[str, Any] = field(default_factory=lambda: {"__name__": "page"})
    replace: dict[str, str] = field(default_factory=dict)
    printed: list[str] = field(default_factory=list)
    answers: list[str] = field(default_factory=list)

    def minilm(self) -> str:
        """The folder of the real all-MiniLM-L6-v2; skips the page where it is not installed."""
        return str(self.request.getfixturevalue("minilm_folder"))

    def blocks(self) -> None:
        """Runs all blocks that can be run here."""
        for block in blocks_of(self.page):
            if block.reason or block.kind not in {"python", "bash"}:
                continue
            try:
                self._block(block)
            except Exception as error:
                error.add_note(f"{block.place} {HELP.format(inputs=inputs_of(self.page).relative_to(ROOT))}")
                raise

    def _block(self, block: Block) -> None:
        code = block.code
        for text, instead in self.replace.items():
            code = code.replace(text, instead)
        if block.kind == "bash":
            self.answers += [self._command(line) for line in commands_in(code)]
        elif not is_excerpt(block):
            self._python(block.place, code)

    def _python(self, place: str, code: str) -> None:
        if ENCODER in code:
            code = code.replace(ENCODER, self.minilm())
        # What inspects its own source, such as a class whose source a model keeps, finds the lines.
        linecache.cache[place] = (len(code), None, code.splitlines(keepends=True), place)
        with contextlib.redirect_stdout(io.StringIO()) as printed:
            exec(compile(code, place, "exec"), self.names)  # noqa: S102 - the code of our own pages
        self.printed += printed.getvalue().splitlines()

    def _command(self, line: str) -> str:
        words = shlex.split(line, comments=True)
        if words[0] in NEVER:
            raise ValueError(f"{words[0]} is not for a test: {line}")
        if not OPERATORS & set(shlex.shlex(line, posix=True, punctuation_chars=True)):
            if words[0] == "quaterion":
                return quaterion(words[1:])
            if words[0] == "python":
                return self._program(words[1:])
        return self._in_shell(line)

    def _program(self, words: list[str]) -> str:
        if words[0].startswith("examples/") and list(ROOT.glob(f"packages/*/tests/**/test_{Path(words[0]).name}")):
            return ""  # a program with a test of its own, which runs it
        program, *arguments = [str(ROOT / word) if (ROOT / word).is_file() else word for word in words]
        with contextlib.redirect_stdout(io.StringIO()) as printed, pytest.MonkeyPatch.context() as patch:
            patch.setattr(sys, "argv", [program, *arguments])
            try:
                runpy.run_path(program, run_name="__main__")
            except SystemExit as end:
                if end.code:
                    raise RuntimeError(f"{shlex.join(words)} ended with {end.code}") from end
        return printed.getvalue()

    def _in_shell(self, line: str) -> str:
        folder = Path("bin")
        folder.mkdir(exist_ok=True)
        starts = {
            "quaterion": "from quaterion.cli import main",
            "quaterion-runtime": "from quaterion_runtime.__main__ import main",
        }
        for name, imports in starts.items():
            (folder / name).write_text(f"#!{sys.executable}\nimport sys\n{imports}\nsys.exit(main())\n")
            (folder / name).chmod(0o755)
        path = os.pathsep.join([str(folder.resolve()), str(Path(sys.executable).parent), os.environ["PATH"]])
        return finished(["bash", "-euo", "pipefail", "-c", line], PATH=path)


def quaterion(words: list[str]) -> str:
    """What a command prints; asked whether to go on, it is told yes."""
    done = CliRunner().invoke(app, words, input="y\n")
    if done.exit_code:
        raise RuntimeError(
            f"quaterion {shlex.join(words)} ended with {done.exit_code}: {done.output}"
        ) from done.exception
    return done.stdout


def finished(command: list[str], **environment: str) -> str:
    """What a process prints."""
    done = subprocess.run(
        command, check=False, capture_output=True, encoding="utf-8", env=os.environ | environment, timeout=300
    )
    if done.returncode:
        raise RuntimeError(f"{shlex.join(map(str, command))} ended with {done.returncode}: {done.stderr[-3000:]}")
    return done.stdout


def inputs_of(page: str) -> Path:
    """Where the inputs of a page are prepared, whether they need any or not."""
    name = page.removeprefix("docs/").removesuffix(".md")
    return Path(__file__).parent / "inputs" / f"{re.sub(r'[^a-z]+', '_', name.lower())}.py"


def load_inputs(page: str) -> ModuleType | None:
    """The module that prepares a page's inputs.

    It has `prepare(run)`, called before the blocks, and `check(run)`, called after them, or one of them; `NEEDS`, the
    modules without which the page is skipped; and `SLOW = True` where the page takes more than a few seconds.
    """
    path = inputs_of(page)
    if not path.is_file():
        return None
    spec = importlib.util.spec_from_file_location(f"inputs_{path.stem}", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
