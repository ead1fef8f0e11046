"""Arguments that commands over a model and a file of data share."""

from pathlib import Path
from typing import Annotated

import typer

__all__ = [
    "Anchor",
    "DataFile",
    "Group",
    "ModelName",
    "Negatives",
    "Positive",
    "Score",
    "ScoreRange",
    "SkipBadRows",
    "Text",
]

_DATA = "Data"

ModelName = Annotated[str, typer.Argument(metavar="MODEL", help="Folder or name of the model.", show_default=False)]
DataFile = Annotated[Path, typer.Argument(metavar="DATA", help="File with the data.", show_default=False)]
Text = Annotated[str | None, typer.Option(help="Column of texts that have groups.", rich_help_panel=_DATA)]
Group = Annotated[str | None, typer.Option(help="Column of their groups.", rich_help_panel=_DATA)]
Anchor = Annotated[str | None, typer.Option(help="Column of first texts.", rich_help_panel=_DATA)]
Positive = Annotated[str | None, typer.Option(help="Column of second texts.", rich_help_panel=_DATA)]
Negatives = Annotated[
    list[str] | None,
    typer.Option(help="Column of texts unlike the anchor; may be given several times.", rich_help_panel=_DATA),
]
Score = Annotated[str | None, typer.Option(help="Column of the pairs' scores.", rich_help_panel=_DATA)]
ScoreRange = Annotated[
    tuple[float, float] | None,
    typer.Option(metavar="LOW HIGH", help="Scores that mean 0 and 1, such as 0 5.", rich_help_panel=_DATA),
]
SkipBadRows = Annotated[
    bool, typer.Option("--skip-bad-rows", help="Leave out rows that cannot be read.", rich_help_panel=_DATA)
]
