"""The command `quaterion` and its options."""

from typing import Annotated

import typer

from quaterion import __version__
from quaterion.cli.cache import cache
from quaterion.cli.classify import CLASSIFY, classify
from quaterion.cli.convert_model import CONVERT_MODEL, convert_model
from quaterion.cli.demo import HELP, demo
from quaterion.cli.evaluate import EVALUATE, evaluate
from quaterion.cli.export import EXPORT, export
from quaterion.cli.index import INDEX, index
from quaterion.cli.match import MATCH, match
from quaterion.cli.report import REPORT, report
from quaterion.cli.running import EXIT_CODES
from quaterion.cli.search import SEARCH, search
from quaterion.cli.tune import TUNE, tune

__all__ = ["app", "main"]

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
app.command(help=HELP)(demo)
app.command(help=TUNE)(tune)
app.command(help=EVALUATE)(evaluate)
app.command(help=REPORT)(report)
app.command("convert-model", help=CONVERT_MODEL)(convert_model)
app.command(help=EXPORT)(export)
app.command(help=CLASSIFY)(classify)
app.command(help=MATCH)(match)
app.command(help=INDEX)(index)
app.command(help=SEARCH)(search)
app.add_typer(cache)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"quaterion {__version__}")
        raise typer.Exit


@app.callback(epilog=EXIT_CODES)
def quaterion(
    context: typer.Context,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
    version: Annotated[  # noqa: ARG001 - its callback does the work
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Fine-tune similarity models: frozen encoders, small heads, cached embeddings.

    To see it work on a real task: quaterion demo
    """
    context.obj = debug


def main() -> None:
    """Runs the command line."""
    app()
