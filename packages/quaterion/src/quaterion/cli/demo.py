"""`quaterion demo`: the first job, from the command line."""

import sys
import webbrowser
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from quaterion.cli.output_file import check_writable
from quaterion.cli.running import EXIT_CODES, running

if TYPE_CHECKING:
    from quaterion.demo.run import DemoOptions, DemoResult
    from quaterion.demo.serve import PageServer

__all__ = ["demo"]

DEFAULT_PORT = 8000

# One line for each paragraph: the help is wrapped to the terminal's width.
HELP = "\n\n".join(
    [
        "Search Python's standard library by what you want to do, before and after fine-tuning.",
        "Reads what the standard library documents, encodes it once with the pre-trained encoder all-MiniLM-L6-v2, "
        "trains a small head for each side on 7 of 10 descriptions, and searches for the entries of those held out. "
        "Takes about two minutes on two cores; a second run, from the cache, less than one.",
        'Example: quaterion demo --query "count the words in a text" --query "wait for a thread to end"',
        "With --serve, a search page opens in the end: both searches side by side, on this machine only.",
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
    serve: Annotated[
        bool, typer.Option("--serve", help="Open a search page in the end, and keep the model where it is finished.")
    ] = False,
    port: Annotated[
        int | None,
        typer.Option(min=0, max=65535, help="Port of the page on this machine; 0: a free one.", show_default="8000"),
    ] = None,
    no_browser: Annotated[bool, typer.Option("--no-browser", help="Open no browser for the page.")] = False,
    limit: Annotated[int | None, typer.Option(min=50, hidden=True, help="Use that many entries only.")] = None,
) -> None:
    """See `HELP`, which is what the command shows."""
    if not serve and (port is not None or no_browser):
        raise typer.BadParameter("--port and --no-browser are for the search page: add --serve.")
    with running(context), ExitStack() as stack:
        out.mkdir(parents=True, exist_ok=True)
        if json is not None:
            check_writable(json)
        typer.echo("Loading ...", err=True)
        from quaterion.cli.demo_report import print_report
        from quaterion.demo.run import QUESTIONS, DemoOptions, run_demo
        from quaterion.demo.serve import PageServer

        # Before the work: a port in use is told at once.
        server = stack.enter_context(PageServer(DEFAULT_PORT if port is None else port)) if serve else None
        options = DemoOptions(
            out=out, cache=cache, questions=query or QUESTIONS, epochs=epochs, seed=seed, limit=limit, reuse=serve
        )
        result = run_demo(options)
        if json is not None:
            json.write_text(result.to_json(), encoding="utf-8")
        print_report(result)
        if server is not None:
            _serve(server, result, options, browser=not no_browser)


def _serve(server: "PageServer", result: "DemoResult", options: "DemoOptions", *, browser: bool) -> None:
    """Answers the search page until Ctrl-C."""
    from quaterion.demo.search_page import SearchPage

    if result.reused:
        typer.echo(f"\nNot trained again: {result.model_folder} holds the model of these settings and this data.")
    server.open_page(SearchPage(result, options.questions))
    typer.echo(f"\nSearch page: {server.address} (Ctrl-C stops it)")
    sys.stdout.flush()
    try:
        if browser:
            webbrowser.open(server.address)
        server.serve_forever()
    except KeyboardInterrupt:
        typer.echo("Stopped.")
