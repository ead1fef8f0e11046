"""`quaterion match`: which texts of one file, or of two, are so similar that they match."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from quaterion.cli.encoded_texts import encoded_texts
from quaterion.cli.input_rows import InputRow, Rows, file_rows, in_chunks, standard_input, tell_skipped
from quaterion.cli.options import Anchor, AnswerFile, AnswerJson, InputFormat, ModelName, Positive, Score, SkipBadTexts
from quaterion.cli.output_rows import check_output, open_output
from quaterion.cli.running import EXIT_CODES, running

if TYPE_CHECKING:
    from quaterion.dataset.files import Samples
    from quaterion_models import SimilarityModel
    from quaterion_models.predict import Match, Matcher

__all__ = ["MATCH", "match"]

# One line for each paragraph: the help is wrapped to the terminal's width.
MATCH = (
    "Find the pairs of texts that match: those whose similarity is not below a threshold.\n\n"
    "LEFT and RIGHT are files in CSV, TSV, JSON lines or Parquet; without RIGHT the texts of LEFT are compared with "
    "each other. LEFT may be - for standard input, one text a line; against a RIGHT it is answered as it comes. The "
    "answer has the numbers of both rows, counted from 1, both texts, and their similarity.\n\n"
    "The threshold is --threshold, or is chosen on --labelled, a file of pairs with scores 0 and 1: with --precision "
    "the lowest one that reaches it, else the one with the best F1. It is shown with its precision and recall. "
    "Without either it is the one in MODEL's folder, where --save puts it.\n\n"
    "Example: quaterion match my-model offers.csv products.csv --text title --labelled pairs.csv --precision 0.95 "
    "--out matches.csv\n\n" + EXIT_CODES
)
TEXTS, THRESHOLD, OUTPUT = "Texts", "Threshold", "Output"
CHUNK = 1024
STANDARD_INPUT = "-"


def match(
    context: typer.Context,
    model: ModelName,
    left: Annotated[
        str, typer.Argument(metavar="LEFT", help="File with texts, or - for standard input.", show_default=False)
    ],
    right: Annotated[
        Path | None, typer.Argument(metavar="[RIGHT]", help="File with the other texts.", show_default=False)
    ] = None,
    text: Annotated[str | None, typer.Option(help="Column of texts.", rich_help_panel=TEXTS)] = None,
    right_text: Annotated[
        str | None, typer.Option(help="Column of RIGHT's texts.", show_default="--text", rich_help_panel=TEXTS)
    ] = None,
    format: InputFormat = "text",  # noqa: A002 - what users call it
    skip_bad_rows: SkipBadTexts = False,
    threshold: Annotated[
        float | None, typer.Option(help="Least similarity of a match.", rich_help_panel=THRESHOLD)
    ] = None,
    labelled: Annotated[
        Path | None,
        typer.Option(
            help="File with pairs and scores 0 and 1 to choose the threshold on.",
            dir_okay=False,
            rich_help_panel=THRESHOLD,
        ),
    ] = None,
    precision: Annotated[
        float | None,
        typer.Option(help="Share of matches that shall be right, such as 0.95.", rich_help_panel=THRESHOLD),
    ] = None,
    anchor: Anchor = None,
    positive: Positive = None,
    score: Score = None,
    save: Annotated[
        bool, typer.Option("--save", help="Keep the threshold in MODEL's folder.", rich_help_panel=THRESHOLD)
    ] = False,
    top: Annotated[
        int, typer.Option(min=1, help="Most matches of a text: as many of its nearest texts.", rich_help_panel=OUTPUT)
    ] = 10,
    one_to_one: Annotated[
        Literal["greedy", "mutual"] | None,
        typer.Option(
            help="One match a text: greedy takes the most similar pairs first, mutual those that are each other's "
            "nearest.",
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    out: AnswerFile = None,
    json: AnswerJson = False,
) -> None:
    """See `MATCH`, which is what the command shows."""
    if threshold is not None and labelled is not None:
        raise typer.BadParameter("--threshold and --labelled exclude each other.")
    if labelled is None and any(one is not None for one in (precision, anchor, positive, score)):
        raise typer.BadParameter("--precision, --anchor, --positive and --score go with --labelled.")
    if right is None and right_text is not None:
        raise typer.BadParameter("--right-text goes with RIGHT.")
    with running(context):
        # The data first: what is wrong with it is told before a model is loaded.
        check_output(out)
        pairs = None if labelled is None else _labelled_pairs(labelled, anchor, positive, score, skip_bad_rows)
        others = None if right is None else file_rows(right, right_text or text, skip_bad_rows=skip_bad_rows)
        candidates = None if others is None else list(others.rows)
        rows = (
            standard_input(format, text, skip_bad_rows=skip_bad_rows)
            if left == STANDARD_INPUT
            else file_rows(Path(left), text, skip_bad_rows=skip_bad_rows)
        )
        from quaterion.cli.evaluate_models import load_model

        typer.echo("Loading ...", err=True)  # which takes some seconds
        matcher = _matcher(model, load_model(model), threshold, pairs, precision, sides=right is not None)
        if save:
            matcher.save(model)
        with open_output(out, json_lines=json) as writer:
            for ours, theirs, found in _found(matcher, rows, candidates, top=top, one_to_one=one_to_one):
                writer.write((_fields(ours, theirs, one), _shown(ours, theirs, one)) for one in found)
        tell_skipped(rows.skipped + (0 if others is None else others.skipped))


def _labelled_pairs(
    file: Path,
    anchor: str | None,
    positive: str | None,
    score: str | None,
    skip_bad_rows: bool,
) -> "Samples":
    from quaterion.dataset.files import read_samples

    pairs = read_samples(file, anchor=anchor, positive=positive, score=score, skip_bad_rows=skip_bad_rows)
    if pairs.kind != "scored pairs" or any(pair.score not in (0, 1) for pair in pairs):
        raise ValueError(
            f"{file.name} must hold pairs of texts with scores that are 0 (no match) or 1 (a match). Name its columns "
            "with --anchor, --positive and --score."
        )
    return pairs


def _matcher(
    name: str,
    model: "SimilarityModel",
    threshold: float | None,
    pairs: "Samples | None",
    precision: float | None,
    *,
    sides: bool,
) -> "Matcher":
    import torch

    from quaterion_models.predict import Matcher, calibrate_matcher, has_matcher

    if threshold is not None:
        return Matcher(model, threshold)
    if pairs is None:
        if not has_matcher(name):
            raise ValueError(
                f"{name} has no matcher in its folder, so there is no threshold. Give --threshold, or --labelled FILE "
                "with pairs to choose it on."
            )
        return Matcher.load(name, model=model)
    first, second = (model.encode_query, model.encode_document) if sides else (model.encode, model.encode)
    similarities = torch.cosine_similarity(
        first([pair.obj_a for pair in pairs], to_numpy=False).double(),
        second([pair.obj_b for pair in pairs], to_numpy=False).double(),
    )
    found = calibrate_matcher(similarities, [pair.score == 1 for pair in pairs], precision=precision)
    typer.echo(
        f"On {found.pairs:,} labelled pairs the threshold {found.threshold:.4f} has precision {found.precision:.1%}, "
        f"recall {found.recall:.1%}, F1 {found.f1:.3f}.",
        err=True,
    )
    return Matcher(model, found.threshold, calibration=found)


def _found(
    matcher: "Matcher", rows: Rows, candidates: list[InputRow] | None, *, top: int, one_to_one: Any
) -> Iterator[tuple[list[InputRow], list[InputRow], "Iterator[Match]"]]:
    """Matches, with what their indexes count: as the left rows come, where each of them has an answer of its own."""
    from quaterion_models.predict import VectorSearch

    model = matcher.model
    if candidates is None:
        ours = list(rows.rows)
        if ours:
            embeddings = encoded_texts(model, [row.text for row in ours])
            yield ours, ours, matcher.match_embeddings(embeddings, top=top, one_to_one=one_to_one)
        return
    if not candidates:
        return
    search = VectorSearch(encoded_texts(model, [row.text for row in candidates], side="document"))
    # For one match each, all of them have to be known.
    chunks = in_chunks(rows, CHUNK) if one_to_one is None else filter(None, [list(rows.rows)])
    for chunk in chunks:
        texts = [row.text for row in chunk]
        embeddings = model.encode_query(texts, to_numpy=False) if rows.lines else encoded_texts(model, texts)
        yield chunk, candidates, matcher.match_embeddings(embeddings, search, top=top, one_to_one=one_to_one)


def _fields(ours: list[InputRow], theirs: list[InputRow], one: "Match") -> dict[str, Any]:
    left, right = ours[one.left_index], theirs[one.right_index]
    return {
        "left_row": left.number,
        "right_row": right.number,
        "left_text": left.text,
        "right_text": right.text,
        "similarity": round(one.similarity, 4),
    }


def _shown(ours: list[InputRow], theirs: list[InputRow], one: "Match") -> str:
    left, right = ours[one.left_index], theirs[one.right_index]
    return f"{one.similarity:.3f}  {left.number}: {left.text}  =  {right.number}: {right.text}"
