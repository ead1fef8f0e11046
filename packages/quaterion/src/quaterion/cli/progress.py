"""Progress bars of commands."""

import sys
from collections.abc import Callable
from contextlib import AbstractContextManager

from quaterion.utils.progress import progress_bar as any_progress_bar

__all__ = ["progress_bar"]


def progress_bar(description: str, total: int) -> AbstractContextManager[Callable[[int], object]]:
    """A bar on standard error, shown in a terminal only, and gone when it is full.

    Args:
        description: What is done.
        total: How much of it there is.

    Returns:
        A context manager that gives a function, which counts what was done.
    """
    return any_progress_bar(description, total, enabled=sys.stderr.isatty(), transient=True)
