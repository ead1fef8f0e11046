"""What every command runs in, so that it ends in an orderly way, whatever stops it."""

import os
import select
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import typer

__all__ = ["EXIT_CODES", "running"]

DONE, FAILED, INTERRUPTED = 0, 1, 130
EXIT_CODES = "Exit codes: 0 done, 1 an error, 2 wrong usage, 130 interrupted with Ctrl-C."


@contextmanager
def running(context: typer.Context) -> Iterator[None]:
    """Turns what stops a command into one sentence on standard error and an exit code.

    A reader of the output that has enough, as `head` has, ends the command without a word.

    Args:
        context: Its `obj` says whether to show the traceback of an error instead.

    Raises:
        typer.Exit: The command stopped.
    """
    # Before torch is imported: threads that wait shall sleep. Spinning, they slow each other down sixfold wherever
    # another program takes one of the cores.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    try:
        yield
        sys.stdout.flush()
    except KeyboardInterrupt:
        _tell("Interrupted. Nothing is broken: what was saved is whole, and the next run goes on from there.")
        raise typer.Exit(INTERRUPTED) from None
    except (typer.Exit, typer.Abort):
        raise
    except Exception as error:
        if isinstance(error, BrokenPipeError) and _nobody_reads():
            raise typer.Exit(DONE) from None
        if context.obj:
            raise
        _tell(f"Error: {_sentence(error)} (Traceback: {_debug_command()})")
        raise typer.Exit(FAILED) from None


def _nobody_reads() -> bool:
    """Whether the reader of standard output is gone; what is left of the output then goes nowhere, at exit too."""
    if not hasattr(select, "poll"):  # on Windows
        return False
    try:
        output = sys.stdout.fileno()
    except OSError:  # it is no file
        return False
    watch = select.poll()
    watch.register(output, 0)  # tells of errors alone
    gone = bool(watch.poll(0))
    if gone:
        os.dup2(os.open(os.devnull, os.O_WRONLY), output)
    return gone


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
