"""What `quaterion tune` shows: the leaderboard while it searches, and the result."""

from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import typer
from rich.console import Console
from rich.live import Live
from rich.table import Table

from quaterion.eval.base_metric import UnscorableSetError
from quaterion.tuning import TuneResult
from quaterion.tuning.search.trial import Trial, best_first
from quaterion.utils.counted import counted

__all__ = ["LiveLeaderboard", "print_result", "save_report"]

ROWS = 8


class LiveLeaderboard:
    """The best candidates so far, on standard error: a table in a terminal, else a line for each new best."""

    def __init__(self) -> None:
        self._console = Console(stderr=True)
        self._live: Live | None = None
        self._best: int | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()

    def show(self, trials: Sequence[Trial]) -> None:
        """Shows trials.

        Args:
            trials: The last trial of each candidate.
        """
        order = best_first(trials)
        if self._console.is_terminal:
            if self._live is None:
                self._live = Live(console=self._console, transient=True, auto_refresh=False)
                self._live.start()
            self._live.update(leaderboard_table(order[:ROWS], len(order)), refresh=True)
        elif order[0].number != self._best:
            self._best = order[0].number
            typer.echo(f"Candidate {order[0].number}: {order[0].value:.4f}, {order[0].recipe.describe()}", err=True)


def leaderboard_table(trials: Sequence[Trial], count: int) -> Table:
    """The best candidates as a table.

    Args:
        trials: The best trials, in their order.
        count: Number of all candidates that were tried.
    """
    table = Table(title=f"{counted(count, 'candidate')} tried", title_justify="left", box=None, pad_edge=False)
    # Texts are wrapped where the terminal is narrow, figures are not.
    for name in ("#", "score", "epochs"):
        table.add_column(name, justify="right", no_wrap=True)
    several = len({trial.encoder for trial in trials}) > 1
    for name in [*(["encoder"] if several else []), "recipe", "settings"]:
        table.add_column(name)
    for trial in trials:
        figures = (str(trial.number), f"{trial.value:.4f}", f"{trial.share:.0%}")
        encoder = [trial.encoder] if several else []
        table.add_row(*figures, *encoder, trial.recipe.describe(), trial.recipe.settings())
    return table


def print_result(result: TuneResult, out: Path) -> None:
    """Prints what was found and where it is.

    Args:
        result: The result.
        out: Its folder.
    """
    console = Console()
    order = best_first(result.trials)
    if order:
        console.print(leaderboard_table(order[:ROWS], len(order)))
    typer.echo(str(result))
    calibrated = result.calibrated
    if calibrated is not None and calibrated.known_kept is not None and calibrated.unknown_recognised is not None:
        typer.echo(
            f'"None of these": the threshold keeps {calibrated.known_kept:.0%} of objects of known groups and turns '
            f"away {calibrated.unknown_recognised:.0%} of those of hidden groups."
        )
    typer.echo(f"The model is in {out}, after {result.seconds:.0f} s. {_next_command(result, out)}")


def save_report(result: TuneResult, out: Path) -> None:
    """Writes `report.html`, or tells how to get what it takes.

    Args:
        result: The result.
        out: Its folder.
    """
    try:
        result.report.save(out / "report.html")
    except (ImportError, UnscorableSetError) as error:
        typer.echo(f"No report: {error}", err=True)
    else:
        typer.echo(f"The report is in {out / 'report.html'}.")


def _next_command(result: TuneResult, out: Path) -> str:
    if result.classifier is not None:
        what = '"a new text"' if result.task.data.columns else "IMAGE"
        return f"Use it: quaterion classify {out} {what}"
    if result.matcher is not None:
        return f"Use it: quaterion match {out} LEFT.csv RIGHT.csv"
    return f"Use it: quaterion index {out} CORPUS.csv --into index"
