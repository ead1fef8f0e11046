"""`quaterion demo`: the first job, from the command line."""

import os
from pathlib import Path
from typing import Annotated

import typer

from quaterion.cli.errors import EXIT_CODES, command_errors

__all__ = ["demo"]

# One line for each paragraph: the help is wrapped to the terminal's width.
HELP = "\n\n".join(
    [
        "Search Python's standard library by what you want to do, before and after fine-tuning.",
        "Reads what the standard library documents, encodes it once with the pre-trained encoder all-MiniLM-L6-v2, "
        "trains a small head for each side on 7 of 10 descriptions, and searches for the entries of those held out. "
        "Takes about two minutes on two cores; a second run, from the cache, less than one.",
        'Example: quaterion demo --query "count the words in a text" --query "wait for a thread to end"',
        EXIT_CODES,
    ]
)


def demo(
    context: typer.Context,
    query: Annotated[
        list[str] | None, typer.Option(help="What to search for in the end; may be given several times.")
    ] = None,
    json: Annotated[Path | None, typer.Option(help="File to write scores and times to.", dir_okay=False)] = None,
    out: Annotated[Path, typer.Option(help="Folder for the model.", file_okay=False)] = Path("quaterion-demo"),
    cache: Annotated[
        Path | None,
        typer.Option(help="Folder for the encoder's vectors.", file_okay=False, show_default="OUT/cache"),
    ] = None,
    epochs: Annotated[int, typer.Option(min=1, help="How often training goes through the data.")] = 60,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the split and of the training.")] = 0,
    limit: Annotated[int | None, typer.Option(min=50, hidden=True, help="Use that many entries only.")] = None,
) -> None:
    """See `HELP`, which is what the command shows."""
    with command_errors(debug=bool(context.obj)):
        _check_writable(out, json)
        typer.echo("Loading ...", err=True)
        # Before torch is imported: threads that wait shall sleep. Spinning, they slow each other down sixfold wherever
        # another program takes one of the cores.
        os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
        from quaterion.cli.demo_report import print_report
        from quaterion.demo.run import QUESTIONS, DemoOptions, run_demo

        options = DemoOptions(out=out, cache=cache, questions=query or QUESTIONS, epochs=epochs, seed=seed, limit=limit)
        result = run_demo(options)
        if json is not None:
            json.write_text(result.to_json(), encoding="utf-8")
        print_report(result)


def _check_writable(out: Path, json: Path | None) -> None:
    """Finds out before the work begins whether its result can be written."""
    out.mkdir(parents=True, exist_ok=True)
    if json is not None:
        json.parent.mkdir(parents=True, exist_ok=True)
        new = not json.exists()
        json.open("a", encoding="utf-8").close()
        if new:
            json.unlink()
