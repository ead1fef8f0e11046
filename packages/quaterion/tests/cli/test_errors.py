"""Errors end a command with one sentence and an exit code."""

import errno

import pytest
import typer

from quaterion.cli.errors import command_errors


def run(error: BaseException, *, debug: bool = False) -> None:
    with command_errors(debug=debug):
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
