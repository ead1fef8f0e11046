"""A progress bar."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def progress_bar(total: int | None, *, enabled: bool) -> Iterator[Callable[[int], None]]:
    """Shows how many objects are done.

    Args:
        total: Objects in all; None where that is not known.
        enabled: Whether to show anything.

    Yields:
        To be called with the number of objects that were done.

    Raises:
        ImportError: If the extra `progress` is not installed.
    """
    if not enabled:
        yield lambda _: None
        return
    from quaterion_models.extras import require

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
