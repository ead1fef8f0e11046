"""How a command ends when something is wrong: one sentence, and an exit code."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import typer

__all__ = ["EXIT_CODES", "command_errors"]

FAILED, INTERRUPTED = 1, 130
EXIT_CODES = "Exit codes: 0 done, 1 an error, 2 wrong usage, 130 interrupted with Ctrl-C."


@contextmanager
def command_errors(*, debug: bool) -> Iterator[None]:
    """Turns what stops a command into one sentence on standard error and an exit code.

    Args:
        debug: Show the traceback instead.

    Raises:
        typer.Exit: The command stopped.
    """
    try:
        yield
    except KeyboardInterrupt:
        _tell("Interrupted. Nothing is broken: what was saved is whole, and the next run goes on from there.")
        raise typer.Exit(INTERRUPTED) from None
    except (typer.Exit, typer.Abort):
        raise
    except Exception as error:
        if debug:
            raise
        _tell(f"Error: {_sentence(error)} (Traceback: {_debug_command()})")
        raise typer.Exit(FAILED) from None


def _sentence(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        where = "" if error.filename is None else f": {error.filename}"
        message = f"{error.strerror}{where}"
    else:
        message = str(error) or type(error).__name__
    message = " ".join(message.split())
    return message if message.endswith((".", "!", "?", '"')) else f"{message}."


def _debug_command() -> str:
    return " ".join(["quaterion --debug", *sys.argv[1:2], "..."])


def _tell(text: str) -> None:
    typer.echo(text, err=True)
