"""Whatever stops a command, it ends with an exit code, and with one sentence where something is wrong."""

import errno
import os
import subprocess
import sys

import click
import pytest
import typer

from quaterion.cli.running import running


def run(error: BaseException, *, debug: bool = False) -> None:
    with running(typer.Context(click.Command("command"), obj=debug)):
        raise error


def exit_code(error: BaseException) -> int:
    with pytest.raises(typer.Exit) as caught:
        run(error)
    return caught.value.exit_code


def test_an_error_is_told_in_one_sentence_that_says_how_to_see_more(capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code(ValueError("got 3;\n expected 4")) == 1
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err.startswith("Error: got 3; expected 4. (Traceback: quaterion --debug ")
    assert output.err.count("\n") == 1


def test_an_error_of_the_system_names_its_file(capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code(OSError(errno.ENOSPC, "No space left on device", "cache/shard")) == 1
    assert capsys.readouterr().err.startswith("Error: No space left on device: cache/shard. (")


def test_an_error_without_a_message_is_told_by_its_name(capsys: pytest.CaptureFixture[str]) -> None:
    exit_code(MemoryError())
    assert capsys.readouterr().err.startswith("Error: MemoryError. (")


def test_ctrl_c_is_one_line_and_130(capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code(KeyboardInterrupt()) == 130
    assert capsys.readouterr().err.startswith("Interrupted. ")


def test_with_debug_the_error_itself_comes_through() -> None:
    with pytest.raises(ValueError, match="got 3"):
        run(ValueError("got 3"), debug=True)


def test_an_exit_on_purpose_is_left_alone() -> None:
    assert exit_code(typer.Exit(2)) == 2


COMMAND = """
import sys
import typer
from quaterion.cli.running import running

def write(context: typer.Context, lines: int):
    with running(context):
        sys.stdin.readline()
        for number in range(lines):
            sys.stdout.write(f"line {number}\\n")

app = typer.Typer(pretty_exceptions_enable=False)
app.command()(write)
app()
"""


@pytest.mark.skipif(sys.platform == "win32", reason="needs pipes that break")
@pytest.mark.parametrize("lines", [3, 100_000])
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_reader_that_has_enough_ends_it_without_a_word(lines: int, unbuffered: str) -> None:
    """Also where all there is to write waits in a buffer until the end."""
    command = [sys.executable, "-c", COMMAND, str(lines)]
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    with subprocess.Popen(command, **pipes, text=True, env={**os.environ, "PYTHONUNBUFFERED": unbuffered}) as process:
        assert process.stdin is not None and process.stdout is not None and process.stderr is not None
        process.stdout.close()
        process.stdin.write("go on\n")
        process.stdin.close()
        assert (process.stderr.read(), process.wait()) == ("", 0)


def test_a_pipe_to_somewhere_else_that_breaks_is_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code(BrokenPipeError(errno.EPIPE, "Broken pipe")) == 1
    assert capsys.readouterr().err.startswith("Error: Broken pipe. (")
