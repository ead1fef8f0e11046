"""`quaterion tune`: from a file of labelled examples to the best head, by itself."""

from pathlib import Path
from typing import Annotated, Any

import typer

from quaterion.cli.options import Anchor, Group, Negatives, Positive, Score, ScoreRange, SkipBadRows, Text
from quaterion.cli.running import EXIT_CODES, running

__all__ = ["TUNE", "tune"]

# One line for each paragraph: the help is wrapped to the terminal's width.
TUNE = (
    "Search the best head for labelled examples over a frozen encoder, train it, and measure what it brings.\n\n"
    "DATA is a file in CSV, TSV, JSON lines or Parquet, or a folder of images by class. Give texts with groups "
    "(--text, --group), pairs (--anchor, --positive), or pairs with scores (--score too). Columns of common names "
    "are found without options.\n\n"
    "Texts are encoded once. Many heads, losses and settings are tried on parts of the data that are held out. "
    "Where none beats the untouched encoder beyond noise, the untouched encoder is the result. The test data are "
    "looked at once, in the end.\n\n"
    "OUT is a folder that SimilarityModel.load takes, with the model card, report.html, leaderboard.csv, "
    "recipe.yaml and train.py beside the model. Ctrl-C ends the search with the best so far; the same command goes "
    "on where it was stopped, from what lies in OUT.tuning.\n\n"
    "Example: quaterion tune tickets.csv --text query --group intent --out support-model\n\n" + EXIT_CODES
)
SPLIT, SEARCH = "Split", "Search"


def tune(
    context: typer.Context,
    data: Annotated[
        Path | None, typer.Argument(metavar="DATA", help="File or folder with the data.", show_default=False)
    ] = None,
    out: Annotated[
        Path, typer.Option(help="Folder for the result.", file_okay=False, show_default="tuned-model")
    ] = Path("tuned-model"),
    encoder: Annotated[
        list[str] | None,
        typer.Option(
            help="Name or folder of a pre-trained encoder. Given several times, each is tried, and all joined.",
            show_default="sentence-transformers/all-MiniLM-L6-v2",
        ),
    ] = None,
    recipe: Annotated[
        Path | None,
        typer.Option(
            help="Train what a recipe.yaml says, on its data, split as it says, or on DATA; no search.", dir_okay=False
        ),
    ] = None,
    text: Text = None,
    group: Group = None,
    anchor: Anchor = None,
    positive: Positive = None,
    negatives: Negatives = None,
    score: Score = None,
    score_range: ScoreRange = None,
    skip_bad_rows: SkipBadRows = False,
    validation: Annotated[
        Path | None, typer.Option(help="Data to choose by; by default parts of DATA.", rich_help_panel=SPLIT)
    ] = None,
    test: Annotated[Path | None, typer.Option(help="Data for the final measurement.", rich_help_panel=SPLIT)] = None,
    split: Annotated[
        str | None, typer.Option(help="Column that says train, validation or test.", rich_help_panel=SPLIT)
    ] = None,
    test_size: Annotated[
        float,
        typer.Option(
            min=0, help="Share or number of samples for the final measurement, 0 for none.", rich_help_panel=SPLIT
        ),
    ] = 0.2,
    unseen_groups: Annotated[
        bool,
        typer.Option("--unseen-groups", help="Hold out whole groups, to serve new ones well.", rich_help_panel=SPLIT),
    ] = False,
    budget: Annotated[
        str,
        typer.Option(help="Time for the search, such as 60s or 10m; encoding comes on top.", rich_help_panel=SEARCH),
    ] = "30s",
    trials: Annotated[int, typer.Option(min=1, help="Candidates for each encoder.", rich_help_panel=SEARCH)] = 24,
    unfreeze: Annotated[
        int,
        typer.Option(
            min=0,
            help="Top layers of the encoder trained too, under the best head; minutes on top of the budget.",
            rich_help_panel=SEARCH,
        ),
    ] = 0,
    seed: Annotated[int, typer.Option(min=0, help="Seed of all that is drawn.", rich_help_panel=SEARCH)] = 0,
    cache: Annotated[
        Path | None,
        typer.Option(
            help="Folder that keeps the encoder's vectors.",
            file_okay=False,
            rich_help_panel=SEARCH,
            show_default="OUT.tuning/cache",
        ),
    ] = None,
) -> None:
    """See `TUNE`, which is what the command shows."""
    if data is None and recipe is None:
        raise typer.BadParameter("Neither DATA nor --recipe is given; expected a file, such as tickets.csv.")
    with running(context):
        typer.echo("Loading ...", err=True)
        from quaterion.cli.progress import progress_bar
        from quaterion.cli.tune_report import LiveLeaderboard, print_result, save_report
        from quaterion.tuning import read_recipe_file
        from quaterion.tuning import tune as run

        options: dict[str, Any] = {
            "text": text,
            "group": group,
            "anchor": anchor,
            "positive": positive,
            "negatives": negatives or None,
            "score": score,
            "score_range": score_range,
            "validation": validation,
            "test": test,
            "split": split,
            # A share stays a float, and a number of samples is a whole number.
            "test_size": int(test_size) if test_size.is_integer() else test_size,
            "unseen_groups": unseen_groups,
            "skip_bad_rows": skip_bad_rows,
            "seed": seed,
        }
        source: Any = data
        if recipe is not None:
            read = read_recipe_file(recipe)
            encoder = encoder or read.encoder
            if data is None:
                given = {name for name in options if _is_given(context, name)}
                kept = {name: value for name, value in read.reading.items() if name not in given}
                source, options = read.data, options | kept
            if source is None:
                raise ValueError(f"{recipe} does not say where the data are; give DATA too.")
            if encoder is None:
                raise ValueError(f"{recipe} does not say which encoder it is for; give --encoder too.")
            options["recipe"] = read.recipe
        if encoder:
            options["encoder"] = encoder
        with LiveLeaderboard() as board:
            result = run(
                source,
                **options,
                budget=budget,
                trials=trials,
                unfreeze=unfreeze,
                out=out,
                cache=cache,
                progress=progress_bar,
                on_trial=board.show,
            )
        print_result(result, out)
        save_report(result, out)


def _is_given(context: typer.Context, name: str) -> bool:
    source = context.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"
