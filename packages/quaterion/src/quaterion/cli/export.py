"""`quaterion export`: a model for programs without this library."""

from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from quaterion.cli.options import Anchor, Group, ModelName, Positive, SkipBadRows, Text
from quaterion.cli.running import EXIT_CODES, running

__all__ = ["EXPORT", "export"]

# One line for each paragraph: the help is wrapped to the terminal's width.
EXPORT = (
    "Write a model in a form for programs that do not have this library.\n\n"
    "--to onnx: graphs of ONNX with tokenizers, which quaterion-runtime runs without torch. --to "
    "sentence-transformers: the encoder with the head as dense layers behind it, for everything that is built on that "
    "library.\n\n"
    "What was written is compared with the model first; where they differ, nothing is written.\n\n"
    "With --data, a file in CSV, TSV, JSON lines or Parquet with groups or pairs, recall@1 is measured with the "
    "model as it is and with the exported one: what --int8, and --dimensions, cost.\n\n"
    "Example: quaterion export my-model --to onnx --out exported --int8 --data test.csv\n\n" + EXIT_CODES
)
_ONNX = "ONNX"
_DIMENSIONS = (
    "First components to keep, scaled to length 1 again, of a model trained with MatryoshkaLoss. Without it all are "
    "written, and any number can be asked for when the exported model is run."
)
_COMPARED = 50
_BATCH = 32


class Target(StrEnum):
    """What a model is exported to."""

    ONNX = "onnx"
    SENTENCE_TRANSFORMERS = "sentence-transformers"


def export(
    context: typer.Context,
    model: ModelName,
    out: Annotated[Path, typer.Option(help="Folder to write.", show_default=False)],
    to: Annotated[Target, typer.Option(help="What to write.")] = Target.ONNX,
    int8: Annotated[
        bool,
        typer.Option(
            "--int8", help="Products of 8-bit integers: faster, a quarter of the size.", rich_help_panel=_ONNX
        ),
    ] = False,
    fp16: Annotated[
        bool, typer.Option("--fp16", help="Weights in half precision: half of the size.", rich_help_panel=_ONNX)
    ] = False,
    dimensions: Annotated[
        int | None,
        typer.Option(min=1, help=_DIMENSIONS, rich_help_panel=_ONNX),
    ] = None,
    normalize: Annotated[
        bool, typer.Option("--normalize", help="Scale embeddings to length 1.", rich_help_panel=_ONNX)
    ] = False,
    data: Annotated[
        Path | None,
        typer.Option(help="File with data to measure recall@1 on.", rich_help_panel=_ONNX),
    ] = None,
    text: Text = None,
    group: Group = None,
    anchor: Anchor = None,
    positive: Positive = None,
    skip_bad_rows: SkipBadRows = False,
) -> None:
    """See `EXPORT`, which is what the command shows."""
    columns = {"text": text, "group": group, "anchor": anchor, "positive": positive}
    if int8 and fp16:
        raise typer.BadParameter("--int8 and --fp16 exclude each other.")
    onnx_alone = {"--int8": int8, "--fp16": fp16, "--dimensions": dimensions, "--normalize": normalize, "--data": data}
    wrong = [name for name, value in onnx_alone.items() if value]
    if to is Target.SENTENCE_TRANSFORMERS and wrong:
        raise typer.BadParameter(f"{', '.join(wrong)} go with --to onnx only.")
    if data is None and any(columns.values()):
        raise typer.BadParameter("Columns are named without a file: give --data.")
    with running(context):
        # The data first: what is wrong with it is told before a model is loaded.
        samples = None if data is None else _read(data, columns, skip_bad_rows=skip_bad_rows)
        from quaterion.cli.evaluate_models import load_model

        typer.echo("Loading ...", err=True)  # which takes some seconds
        loaded = load_model(model)
        typer.echo("Exporting ...", err=True)
        if to is Target.SENTENCE_TRANSFORMERS:
            from quaterion_models.export import export_sentence_transformers

            export_sentence_transformers(loaded, out)
            typer.echo(f"The model is in {out}, with the same vectors. SentenceTransformer({str(out)!r}) loads it.")
            return
        from quaterion_models.export import export_onnx

        report = export_onnx(
            loaded,
            out,
            precision="int8" if int8 else "float16" if fp16 else "float32",
            dimensions=dimensions,
            normalize=normalize,
            check_objects=[] if samples is None else _some_objects(samples),
            quality=None if samples is None else _recall_at_1(samples),
        )
        _tell(report, data)


def _tell(report: Any, data: Path | None) -> None:
    """Shows what was exported, and how closely it agrees with the model."""
    typer.echo(
        f"The exported model is in {report.folder}: {report.size / 2**20:.1f} MiB, weights in {report.precision}, "
        f"embeddings of {report.embedding_size} numbers.\nCompared with the model on {report.objects} objects, 1 - "
        f"cosine is {report.largest_difference:.1e} at the most, {report.mean_difference:.1e} on average."
    )
    if report.quality is not None:
        before, after = report.quality
        typer.echo(
            f"recall@1 on {data}: {100 * before:.2f} % of the model, {100 * after:.2f} % of the exported one "
            f"({100 * (after - before):+.2f} points)."
        )
    typer.echo(f"quaterion_runtime.Model.load({str(report.folder)!r}) loads it.")


def _read(data: Path, columns: dict[str, Any], *, skip_bad_rows: bool) -> Any:
    from quaterion.dataset.files import read_samples

    samples = read_samples(data, **columns, skip_bad_rows=skip_bad_rows)
    if samples.kind == "scored pairs":
        raise ValueError(f"{data} holds scored pairs, and recall@1 is measured on groups or on pairs without scores")
    return samples


def _some_objects(samples: Any) -> list[Any]:
    """Objects of the first samples, to compare vectors on."""
    first = [samples[place] for place in range(min(_COMPARED, len(samples)))]
    return [one.obj if samples.kind == "groups" else one.obj_a for one in first]


def _recall_at_1(samples: Any) -> Callable[[Any], float]:
    from quaterion.eval import Evaluator, GroupSampler, PairSampler, group, pair

    evaluator = (
        Evaluator({"recall@1": group.RetrievalRecall(k=1)}, GroupSampler(encode_batch_size=_BATCH, log_progress=False))
        if samples.kind == "groups"
        else Evaluator(
            {"recall@1": pair.RetrievalRecall(k=1)},
            PairSampler(distinguish=True, encode_batch_size=_BATCH, log_progress=False),
        )
    )
    return lambda model: float(evaluator.evaluate(samples, model)["recall@1"])
