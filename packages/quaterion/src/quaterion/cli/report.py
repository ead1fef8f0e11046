"""`quaterion report`: a page that shows what a model does on a file of data, and what it did before it was tuned."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from quaterion.cli.options import (
    Anchor,
    Before,
    Cache,
    DataFile,
    Group,
    ModelName,
    Negatives,
    Positive,
    Sample,
    Score,
    ScoreRange,
    SkipBadRows,
    Text,
)
from quaterion.cli.output_file import check_writable
from quaterion.cli.running import EXIT_CODES, running

if TYPE_CHECKING:
    from quaterion.dataset.files import Samples

__all__ = ["REPORT", "report"]

# One line for each paragraph: the help is wrapped to the terminal's width.
REPORT = (
    "Write a page that shows what a model does on a file of data: scores, similarities, a map, and what went wrong.\n\n"
    "MODEL is a folder that SimilarityModel.save wrote, or a folder or name of a sentence-transformers model. DATA is "
    "a file in CSV, TSV, JSON lines or Parquet: texts with groups (--text, --group), or pairs (--anchor, --positive). "
    "Columns of common names are found without options.\n\n"
    "With --before the page compares two models, and says whether their difference is more than chance.\n\n"
    'The page is one file that loads nothing. It needs: pip install "quaterion\\[report]"\n\n'
    "Example: quaterion report my-model test.csv --before encoder --out report.html\n\n" + EXIT_CODES
)
PAGE, MEASURING = "Page", "Measuring"


def report(
    context: typer.Context,
    model: ModelName,
    data: DataFile,
    text: Text = None,
    group: Group = None,
    anchor: Anchor = None,
    positive: Positive = None,
    negatives: Negatives = None,
    score: Score = None,
    score_range: ScoreRange = None,
    skip_bad_rows: SkipBadRows = False,
    before: Before = None,
    out: Annotated[Path, typer.Option(help="File to write.", dir_okay=False, rich_help_panel=PAGE)] = Path(
        "report.html"
    ),
    log: Annotated[
        Path | None, typer.Option(help="Folder of Lightning's CSVLogger, for training curves.", rich_help_panel=PAGE)
    ] = None,
    title: Annotated[
        str | None, typer.Option(help="Heading of the page.", show_default="MODEL on DATA", rich_help_panel=PAGE)
    ] = None,
    projection: Annotated[
        Literal["auto", "pca", "umap"],
        typer.Option(help="How the map is made; auto is UMAP where it is installed.", rich_help_panel=PAGE),
    ] = "auto",
    sample: Sample = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of all that is drawn.", rich_help_panel=MEASURING)] = 0,
    cache: Cache = None,
) -> None:
    """See `REPORT`, which is what the command shows."""
    with running(context):
        from quaterion.cli.evaluate_models import load_models
        from quaterion.cli.progress import progress_bar
        from quaterion.dataset.files import read_samples
        from quaterion.eval.embedded_model import embedded_model
        from quaterion.eval.report import Report
        from quaterion.eval.report.facts import model_facts
        from quaterion.eval.report.page import check_installed
        from quaterion.eval.report.projection import check_projection
        from quaterion.eval.report.training_log import training_curves

        # What is missing or wrong is told before a model is loaded.
        check_installed()
        check_projection(projection)
        check_writable(out)
        if log is not None:
            training_curves(log)
        samples = read_samples(
            data,
            text=text,
            group=group,
            anchor=anchor,
            positive=positive,
            negatives=negatives or None,
            score=score,
            score_range=score_range,
            skip_bad_rows=skip_bad_rows,
        )
        tuned, other = load_models(model, before)
        facts = {"file": _file_facts(samples), "model": {"name": model, **model_facts(tuned)}}
        if other is not None:
            facts["model before"] = {"name": before, **model_facts(other)}
        # With stores in common an encoder that both models have runs once.
        options: dict[str, Any] = {"cache": cache, "stores": {}, "progress": progress_bar}
        page = Report(
            embedded_model(tuned, samples, **options),
            samples,
            before=None if other is None else embedded_model(other, samples, **options),
            training_log=log,
            title=title or f"{Path(model).name} on {data.name}",
            facts=facts,
            projection=projection,
            sample_size=sample or -1,
            log_progress=False,
            seed=seed,
        )
        page.save(out)
        typer.echo(page.figures()["comparison"].get("summary") or "One model, with nothing to compare it with.")
        typer.echo(f"The report is in {out}.")


def _file_facts(samples: "Samples") -> dict[str, Any]:
    """What was read and what was left out."""
    notes = {f"note {number}": note for number, note in enumerate(samples.notes(), start=1)}
    return {"name": samples.name, "rows": samples.num_rows, **notes}
