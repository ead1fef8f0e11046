"""A progress bar, where one is wanted."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from quaterion_runtime.extras import require


@contextmanager
def progress_bar(total: int | None, *, enabled: bool) -> Iterator[Callable[[int], object]]:
    """Shows a progress bar on standard error.

    Args:
        total: Objects to encode; None where that is not known.
        enabled: Whether to show it.

    Yields:
        A function to call with the number of objects that were encoded.

    Raises:
        ImportError: If it is enabled and the extra `progress` is not installed.
    """
    if not enabled:
        yield lambda _: None
        return
    bars = require("rich.progress", extra="progress")
    console = require("rich.console", extra="progress").Console(stderr=True)
    columns = (
        bars.TextColumn("{task.description}"),
        bars.BarColumn(),
        bars.MofNCompleteColumn(),
        bars.TimeRemainingColumn(),
    )
    with bars.Progress(*columns, console=console) as progress:
        task = progress.add_task("Encoding", total=total)
        yield lambda count: progress.advance(task, count)
