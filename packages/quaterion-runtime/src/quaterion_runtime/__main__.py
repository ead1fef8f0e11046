"""The command `quaterion-runtime`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from quaterion_runtime import __version__
from quaterion_runtime.serve import command


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line.

    Args:
        arguments: What was typed after the command's name; None takes it from the process.

    Returns:
        The exit code.
    """
    parsed = make_parser().parse_args(arguments)
    code: int = parsed.run(parsed)
    return code


def make_parser() -> argparse.ArgumentParser:
    """The commands and their options."""
    parser = argparse.ArgumentParser(prog="quaterion-runtime", description="Runs models that Quaterion exported.")
    parser.add_argument("--version", action="version", version=f"quaterion-runtime {__version__}")
    command.add_parser(parser.add_subparsers(title="commands", required=True, metavar="COMMAND"))
    return parser


if __name__ == "__main__":
    sys.exit(main())
