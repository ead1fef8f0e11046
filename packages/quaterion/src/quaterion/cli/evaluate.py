"""`quaterion evaluate`: metrics of a model on a file of data, alone or beside another model."""

from pathlib import Path
from typing import Annotated, Any

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
MEASURING = "Measuring"


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
    before: Before = None,
    metric: Annotated[
        list[str] | None,
        typer.Option(
            help="Of groups and pairs: recall, precision, ndcg, mrr, r_precision, map@r. Of scored pairs: spearman, "
            "pearson, average_precision, best_f1, roc_auc. May be given several times.",
            rich_help_panel=MEASURING,
            show_default="those that suit the data",
        ),
    ] = None,
    k: Annotated[
        list[int] | None,
        typer.Option(
            "--k",
            min=1,
            help="How many found texts recall, precision and ndcg look at; may be given several times.",
            rich_help_panel=MEASURING,
            show_default="1 and 10",
        ),
    ] = None,
    sample: Sample = None,
    seed: Annotated[
        int, typer.Option(min=0, help="Seed of the sample and of the intervals.", rich_help_panel=MEASURING)
    ] = 0,
    json: Annotated[
        Path | None, typer.Option(help="File to write the figures to.", dir_okay=False, rich_help_panel=MEASURING)
    ] = None,
    cache: Cache = None,
) -> None:
    """See `EVALUATE`, which is what the command shows."""
    with running(context):
        if json is not None:
            check_writable(json)
        from quaterion.cli.evaluate_metrics import choose_metrics
        from quaterion.cli.evaluate_models import load_models
        from quaterion.cli.evaluate_report import figures_as_json, print_figures
        from quaterion.cli.progress import progress_bar
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
