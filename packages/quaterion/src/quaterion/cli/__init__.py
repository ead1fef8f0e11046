"""The command line: `quaterion`."""

from quaterion.cli.app import main

__all__ = ["main"]
