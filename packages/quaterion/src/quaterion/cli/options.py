"""Arguments that commands over a model and a file of data share."""

from pathlib import Path
from typing import Annotated

import typer

from quaterion.cli.input_rows import StreamFormat

__all__ = [
    "Anchor",
    "AnswerFile",
    "AnswerJson",
    "Before",
    "Cache",
    "DataFile",
    "Group",
    "InputFormat",
    "ModelName",
    "Negatives",
    "Positive",
    "Sample",
    "Score",
    "ScoreRange",
    "SkipBadRows",
    "SkipBadTexts",
    "Text",
]

_DATA, _MEASURING, _TEXTS, _OUTPUT = "Data", "Measuring", "Texts", "Output"

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

# Of commands that measure models.
Before = Annotated[
    str | None,
    typer.Option(
        metavar="MODEL",
        help='Another model to compare with, or "encoder" for the model\'s own encoder without its head.',
        rich_help_panel=_MEASURING,
    ),
]
Sample = Annotated[
    int | None,
    typer.Option(min=1, help="Search with so many texts only, drawn at random, among all.", rich_help_panel=_MEASURING),
]
Cache = Annotated[
    Path | None,
    typer.Option(help="Folder that keeps the encoder's vectors.", file_okay=False, rich_help_panel=_MEASURING),
]

# Of commands that answer texts, which may come on standard input.
InputFormat = Annotated[StreamFormat, typer.Option(help="What standard input holds.", rich_help_panel=_TEXTS)]
SkipBadTexts = Annotated[
    bool, typer.Option("--skip-bad-rows", help="Leave out rows that cannot be read.", rich_help_panel=_TEXTS)
]
AnswerFile = Annotated[
    Path | None,
    typer.Option(
        help="File to write, .csv or .jsonl.", dir_okay=False, show_default="standard output", rich_help_panel=_OUTPUT
    ),
]
AnswerJson = Annotated[bool, typer.Option("--json", help="Print JSON lines.", rich_help_panel=_OUTPUT)]
