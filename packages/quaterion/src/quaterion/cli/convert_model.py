"""`quaterion convert-model`: a model folder of Quaterion 0.1 made into one of today's format."""

import importlib
import sys
from pathlib import Path
from typing import Annotated

import typer

from quaterion.cli.running import running

__all__ = ["CONVERT_MODEL", "convert_model"]

INCOMPLETE = 3
# One line for each paragraph: the help is wrapped to the terminal's width.
CONVERT_MODEL = (
    "Convert a model folder that Quaterion 0.1 saved.\n\n"
    "Nothing that the old folder names is imported or run: weights are read as tensors only, and the library's own "
    "heads are known. An encoder of 0.1 is a class of your program: name its module with --import.\n\n"
    "What could not be read is listed with the reason. The new folder is written only if all could.\n\n"
    "Example: quaterion convert-model old-model new-model --import my_project.encoders\n\n"
    "Exit codes: 0 converted, 1 an error, 2 wrong usage, 3 something could not be converted and nothing was written, "
    "130 interrupted with Ctrl-C."
)


def convert_model(
    context: typer.Context,
    old: Annotated[Path, typer.Argument(metavar="OLD", help="Folder that Quaterion 0.1 saved.", show_default=False)],
    new: Annotated[Path, typer.Argument(metavar="NEW", help="Folder to write.", show_default=False)],
    modules: Annotated[
        list[str] | None,
        typer.Option(
            "--import", metavar="MODULE", help="Module of yours with the model's classes; may be given several times."
        ),
    ] = None,
) -> None:
    """See `CONVERT_MODEL`, which is what the command shows."""
    with running(context):
        from rich.console import Console
        from rich.table import Table
        from rich.text import Text

        from quaterion_models.saving import convert

        if modules and "" not in sys.path:
            sys.path.insert(0, "")  # modules of the folder where the command is typed, as python -m finds them
        for name in modules or ():
            importlib.import_module(name)
        conversion = convert.convert_model(old, new)
        shown = Table("part", "class", "converted")
        for part in conversion.parts:
            # As Text: names in a folder may hold what rich would read as markup.
            shown.add_row(Text(part.name), Text(part.kind), Text(f"no: {part.problem}" if part.problem else "yes"))
        Console().print(shown)
        if not conversion.complete:
            typer.echo("Nothing was written: not every part could be converted.", err=True)
            raise typer.Exit(INCOMPLETE)
        typer.echo(f"The converted model is in {new}.")
