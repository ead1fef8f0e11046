"""Progress bars on standard error."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

__all__ = ["progress_bar"]


@contextmanager
def progress_bar(
    description: str, total: int | None, *, enabled: bool = True, transient: bool = False
) -> Iterator[Callable[[int], object]]:
    """A bar with count, rate and time left.

    Args:
        description: What is being done.
        total: How many items there are; None where it is not known.
        enabled: Whether to show the bar at all.
        transient: Whether it goes when all is done.

    Yields:
        A function that advances the bar by a number of items.

    Example:
        >>> with progress_bar("Searching", 3, enabled=False) as advance:
        ...     advance(2)
    """
    if not enabled:
        yield lambda _: None
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        ProgressColumn,
        Task,
        TextColumn,
        TimeRemainingColumn,
    )
    from rich.text import Text

    class RateColumn(ProgressColumn):
        def render(self, task: Task) -> Text:
            speed = task.finished_speed or task.speed
            return Text("" if speed is None else f"{speed:,.0f}/s", style="progress.data.speed")

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        RateColumn(),
        TimeRemainingColumn(elapsed_when_finished=True),
    )
    # What others print meanwhile stays on standard output: redirected, it would be drawn on standard error.
    with Progress(*columns, console=Console(stderr=True), redirect_stdout=False, transient=transient) as bar:
        task = bar.add_task(description, total=total)
        yield lambda count: bar.advance(task, count)
