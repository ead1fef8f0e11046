"""`quaterion evaluate`: metrics of a model on a file of data, alone or beside another model."""

import os
from pathlib import Path
from typing import Annotated, Any

import typer

from quaterion.cli.errors import EXIT_CODES, command_errors
from quaterion.cli.options import (
    Anchor,
    DataFile,
    Group,
    ModelName,
    Negatives,
    Positive,
    Score,
    ScoreRange,
    SkipBadRows,
    Text,
)
from quaterion.cli.output_file import check_writable

__all__ = ["EVALUATE", "evaluate"]

# One line for each paragraph: the help is wrapped to the terminal's width.
EVALUATE = (
    "Measure how well a model finds what belongs together in a file of data, with 95 % intervals.\n\n"
    "MODEL is a folder that SimilarityModel.save wrote, or a folder or name of a sentence-transformers model. DATA is "
    "a file in CSV, TSV, JSON lines or Parquet.\n\n"
    "Texts with groups (--text, --group): every text searches all others for those of its group. Pairs (--anchor, "
    "--positive): every anchor searches all positives for its own. Scored pairs (--anchor, --positive, --score): do "
    "similarities agree with the scores?\n\n"
    "Columns of common names are found without options. Of a file without a header, give the columns' numbers.\n\n"
    "With --before the table shows two models side by side, and whether their difference is more than chance.\n\n"
    "Example: quaterion evaluate my-model test.csv --text query --group intent --before encoder\n\n" + EXIT_CODES
)
MEASURE = "Measuring"


def evaluate(
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
    before: Annotated[
        str | None,
        typer.Option(
            metavar="MODEL",
            help='Another model to compare with, or "encoder" for the model\'s own encoder without its head.',
            rich_help_panel=MEASURE,
        ),
    ] = None,
    metric: Annotated[
        list[str] | None,
        typer.Option(
            help="Of groups and pairs: recall, precision, ndcg, mrr, r_precision, map@r. Of scored pairs: spearman, "
            "pearson, average_precision, best_f1, roc_auc. May be given several times.",
            rich_help_panel=MEASURE,
            show_default="those that suit the data",
        ),
    ] = None,
    k: Annotated[
        list[int] | None,
        typer.Option(
            "--k",
            min=1,
            help="How many found texts recall, precision and ndcg look at; may be given several times.",
            rich_help_panel=MEASURE,
            show_default="1 and 10",
        ),
    ] = None,
    sample: Annotated[
        int | None,
        typer.Option(
            min=1, help="Search with so many texts only, drawn at random, among all.", rich_help_panel=MEASURE
        ),
    ] = None,
    seed: Annotated[
        int, typer.Option(min=0, help="Seed of the sample and of the intervals.", rich_help_panel=MEASURE)
    ] = 0,
    json: Annotated[
        Path | None, typer.Option(help="File to write the figures to.", dir_okay=False, rich_help_panel=MEASURE)
    ] = None,
    cache: Annotated[
        Path | None,
        typer.Option(help="Folder that keeps the encoder's vectors.", file_okay=False, rich_help_panel=MEASURE),
    ] = None,
) -> None:
    """See `EVALUATE`, which is what the command shows."""
    with command_errors(debug=bool(context.obj)):
        if json is not None:
            check_writable(json)
        # Before torch is imported: threads that wait shall sleep; see `quaterion demo`.
        os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
        from quaterion.cli.cache_report import progress_bar
        from quaterion.cli.evaluate_metrics import choose_metrics
        from quaterion.cli.evaluate_models import load_models
        from quaterion.cli.evaluate_report import figures_as_json, print_figures
        from quaterion.dataset.files import read_samples
        from quaterion.eval.comparison import compare
        from quaterion.eval.embedded_model import embedded_model

        # The data first: what is wrong with it is told before a model is loaded.
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
        evaluator = choose_metrics(samples, names=metric or [], ks=k or [1, 10], sample=sample, seed=seed)
        tuned, other = load_models(model, before)
        # With stores in common an encoder that both models have runs once.
        options: dict[str, Any] = {"cache": cache, "stores": {}, "progress": progress_bar}
        after = evaluator.score(samples, embedded_model(tuned, samples, **options))
        earlier = None if other is None else evaluator.score(samples, embedded_model(other, samples, **options))
        comparison = None if earlier is None else compare(earlier, after, seed=seed)
        print_figures(samples, model, after, before=before, comparison=comparison, seed=seed)
        if json is not None:
            content = figures_as_json(samples, model, after, before=before, comparison=comparison, seed=seed)
            json.write_text(content, encoding="utf-8")
