"""`quaterion classify`: the group of texts, how sure that is, and which are of none."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from quaterion.cli.input_rows import (
    InputRow,
    Rows,
    StreamFormat,
    file_rows,
    given_rows,
    in_chunks,
    standard_input,
    tell_skipped,
)
from quaterion.cli.options import AnswerFile, AnswerJson, InputFormat, ModelName, SkipBadTexts
from quaterion.cli.output_rows import check_output, open_output
from quaterion.cli.running import EXIT_CODES, running

if TYPE_CHECKING:
    from quaterion.dataset.files import Samples
    from quaterion_models.predict import Prediction

__all__ = ["CLASSIFY", "classify"]

# One line for each paragraph: the help is wrapped to the terminal's width.
CLASSIFY = (
    "Tell the group of texts: a label, how sure that is, and the similarity to the nearest known example.\n\n"
    "Texts are arguments, the rows of --data (CSV, TSV, JSON lines or Parquet), or come on standard input, one a line, "
    "and are answered as they come. Each answer keeps the columns of its row; where one of them is called label, "
    "confidence or similarity, the answer's is called predicted_label and so on. An empty label means none of "
    "these: nothing known is near enough.\n\n"
    "Groups are told by the classifier in MODEL's folder, where quaterion tune puts one, by --examples, texts with "
    "their labels, or by both together: that is how groups are added without any training. A classifier made of "
    "examples alone is calibrated on a fifth of them; --keep does so with the threshold for none of these.\n\n"
    'Example: quaterion classify my-model "where is my card?"\n\n'
    "Example: quaterion classify my-model --data new.csv --text query --examples old.csv --group intent --keep 0.95 "
    "--out answers.csv\n\n" + EXIT_CODES
)
TEXTS, GROUPS = "Texts", "Groups"
CHUNK = 1024
ANSWER = ("label", "confidence", "similarity")


def classify(
    context: typer.Context,
    model: ModelName,
    texts: Annotated[list[str] | None, typer.Argument(metavar="[TEXT]...", help="Texts.", show_default=False)] = None,
    data: Annotated[Path | None, typer.Option(help="File with texts.", dir_okay=False, rich_help_panel=TEXTS)] = None,
    text: Annotated[
        str | None, typer.Option(help="Column of texts, in every file that is read.", rich_help_panel=TEXTS)
    ] = None,
    format: InputFormat = "text",  # noqa: A002 - what users call it
    skip_bad_rows: SkipBadTexts = False,
    examples: Annotated[
        Path | None,
        typer.Option(
            help="File with labelled examples, which know their group.", dir_okay=False, rich_help_panel=GROUPS
        ),
    ] = None,
    example_text: Annotated[
        str | None,
        typer.Option(help="Column of the examples' texts.", show_default="--text", rich_help_panel=GROUPS),
    ] = None,
    group: Annotated[str | None, typer.Option(help="Column of the examples' labels.", rich_help_panel=GROUPS)] = None,
    method: Annotated[
        Literal["knn", "weights", "both"] | None,
        typer.Option(
            help="What decides: the nearest examples, the class weights of training, or both.",
            show_default="as the classifier has it; knn with --examples alone",
            rich_help_panel=GROUPS,
        ),
    ] = None,
    threshold: Annotated[
        float | None,
        typer.Option(help="Least similarity, below which a text is none of these.", rich_help_panel=GROUPS),
    ] = None,
    keep: Annotated[
        float | None,
        typer.Option(
            help="Share of known texts to keep, such as 0.95: chooses the threshold on examples that are held out.",
            rich_help_panel=GROUPS,
        ),
    ] = None,
    save: Annotated[
        bool, typer.Option("--save", help="Keep the classifier in MODEL's folder.", rich_help_panel=GROUPS)
    ] = False,
    out: AnswerFile = None,
    json: AnswerJson = False,
) -> None:
    """See `CLASSIFY`, which is what the command shows."""
    if texts and data is not None:
        raise typer.BadParameter("Give texts or --data, not both.")
    if threshold is not None and keep is not None:
        raise typer.BadParameter("--threshold and --keep exclude each other.")
    if examples is None and (group is not None or example_text is not None):
        raise typer.BadParameter("Columns of examples are named without a file: give --examples.")
    with running(context):
        # The data first: what is wrong with it is told before a model is loaded.
        check_output(out)
        labelled = None if examples is None else _read(examples, example_text or text, group, skip_bad_rows)
        rows = _rows(texts, data, text, format, skip_bad_rows=skip_bad_rows)
        from quaterion.cli.classify_examples import ClassifierOptions, choose_classifier
        from quaterion.cli.evaluate_models import load_model
        from quaterion.utils.progress import progress_bar

        typer.echo("Loading ...", err=True)  # which takes some seconds
        options = ClassifierOptions(method=method, threshold=threshold, keep=keep)
        classifier = choose_classifier(model, load_model(model), labelled, options)
        if save:
            classifier.save(model)
        with open_output(out, json_lines=json) as writer:
            # Lines for people tell how far it is, and a bar would run through them.
            watched = sys.stderr.isatty() and writer.form != "text"
            with progress_bar("Classifying", None, enabled=watched) as advance:
                for chunk in in_chunks(rows, CHUNK):
                    predictions = classifier.classify([row.text for row in chunk])
                    pairs = zip(chunk, predictions, strict=True)
                    writer.write((_answer(row, found), _shown(row, found)) for row, found in pairs)
                    advance(len(chunk))
        tell_skipped(rows.skipped)


def _read(examples: Path, text: str | None, group: str | None, skip_bad_rows: bool) -> "Samples":
    from quaterion.dataset.files import read_samples

    samples = read_samples(examples, text=text, group=group, skip_bad_rows=skip_bad_rows)
    for note in samples.notes():
        typer.echo(f"{samples.name}: {note}", err=True)
    return samples


def _rows(
    texts: list[str] | None,
    data: Path | None,
    text: str | None,
    stream_format: StreamFormat,
    *,
    skip_bad_rows: bool,
) -> Rows:
    if texts:
        return given_rows(texts)
    if data is not None:
        return file_rows(data, text, skip_bad_rows=skip_bad_rows)
    return standard_input(stream_format, text, skip_bad_rows=skip_bad_rows)


def _answer(row: InputRow, prediction: "Prediction") -> dict[str, Any]:
    values = (prediction.label, round(prediction.confidence, 4), round(prediction.similarity, 4))
    names = [f"predicted_{name}" if name in row.fields else name for name in ANSWER]
    return {**row.fields, **dict(zip(names, values, strict=True))}


def _shown(row: InputRow, prediction: "Prediction") -> str:
    label = "(none of these)" if prediction.label is None else prediction.label
    return f"{prediction.confidence:6.1%}  {label}  {row.text}"
