"""`quaterion index`: embeds the objects of a file and keeps them in an index."""

import os
from typing import Annotated, Literal

import typer

from quaterion.cli.options import DataFile, ModelName, SkipBadRows
from quaterion.cli.running import EXIT_CODES, running

__all__ = ["API_KEY", "INDEX", "Collection", "Device", "index"]

# One line for each paragraph: the help is wrapped to the terminal's width.
INDEX = (
    "Embed the objects of a file and keep them in an index, which quaterion search searches.\n\n"
    "MODEL is a folder that SimilarityModel.save wrote, or a folder or name of a sentence-transformers model. DATA is "
    "a file in CSV, TSV, JSON lines or Parquet.\n\n"
    "Interrupted at any time and run again, it goes on where it was; run again on more data, it adds what is new. "
    "Every object is held once. Objects that DATA no longer has stay in the index, unless it is made again with "
    "--rebuild.\n\n"
    "Where --into is the URL of a Qdrant server, its API key is read from the environment variable QDRANT_API_KEY.\n\n"
    "Example: quaterion index my-model articles.csv --text body --id number --into articles\n\n" + EXIT_CODES
)
API_KEY = "QDRANT_API_KEY"
_DATA, _INDEX, _RUN = "Data", "Index", "Run"

Collection = Annotated[str, typer.Option(help="Name of the collection, with Qdrant.", rich_help_panel=_INDEX)]
Device = Annotated[
    str | None,
    typer.Option(
        help="Where the model computes, such as cpu or cuda:1.",
        show_default="a GPU if there is one",
        rich_help_panel=_RUN,
    ),
]


def index(
    context: typer.Context,
    model: ModelName,
    data: DataFile,
    into: Annotated[str, typer.Option(help="Folder, or URL of a Qdrant server.", show_default=False)],
    text: Annotated[
        str | None, typer.Option(help="Column of the objects.", show_default="by its name", rich_help_panel=_DATA)
    ] = None,
    id_column: Annotated[
        str | None,
        typer.Option(
            "--id", help="Column of their ids.", show_default="a digest of the row's content", rich_help_panel=_DATA
        ),
    ] = None,
    field: Annotated[
        list[str] | None,
        typer.Option(
            help="Column to keep with each object; may be given several times.",
            show_default="all others",
            rich_help_panel=_DATA,
        ),
    ] = None,
    number: Annotated[
        list[str] | None,
        typer.Option(
            help="Column to keep as numbers, so that searches can filter by ranges; may be given several times.",
            rich_help_panel=_DATA,
        ),
    ] = None,
    skip_bad_rows: SkipBadRows = False,
    kind: Annotated[
        Literal["exact", "faiss", "qdrant"] | None,
        typer.Option(help="What to make.", show_default="exact, or qdrant on a server", rich_help_panel=_INDEX),
    ] = None,
    factory: Annotated[
        str | None, typer.Option(help="What faiss builds, such as HNSW32.", rich_help_panel=_INDEX)
    ] = None,
    collection: Collection = "quaterion",
    rebuild: Annotated[
        bool,
        typer.Option(
            "--rebuild", help="Make the index anew; the old one stays until that is done.", rich_help_panel=_INDEX
        ),
    ] = False,
    batch_size: Annotated[int, typer.Option(min=1, help="Objects in a batch.", rich_help_panel=_RUN)] = 32,
    save_every: Annotated[float, typer.Option(min=0, help="Seconds between two saves.", rich_help_panel=_RUN)] = 30.0,
    device: Device = None,
) -> None:
    """See `INDEX`, which is what the command shows."""
    with running(context):
        from quaterion.cli.evaluate_models import load_model
        from quaterion.cli.progress import progress_bar
        from quaterion.indexing import Destination, build_index, read_corpus
        from quaterion_models.search.qdrant_collection import is_url

        key = os.environ.get(API_KEY) if is_url(into) else None
        place = Destination(into, kind, factory, collection, key)
        # The data first: what is wrong with it is told before a model is loaded.
        corpus = read_corpus(
            data, text=text, id=id_column, fields=field or None, numbers=number or [], skip_bad_rows=skip_bad_rows
        )
        typer.echo("Loading ...", err=True)  # which takes some seconds
        loaded = load_model(model)
        if device is not None:
            loaded.to(device)
        with progress_bar("Indexing", len(corpus)) as advance:
            counts = build_index(
                loaded,
                corpus,
                place,
                name=model,
                rebuild=rebuild,
                batch_size=batch_size,
                save_every=save_every,
                progress=advance,
            )
        changed = f" ({counts.changed:,} in place of an older version)" if counts.changed else ""
        typer.echo(f"{counts.encoded:,} objects were encoded{changed}, {counts.present:,} were there already.")
        left = {"repeat an earlier row": corpus.repeated, "are empty": corpus.empty, "cannot be read": corpus.bad}
        told = ", ".join(f"{count:,} {what}" for what, count in left.items() if count)
        if told:
            typer.echo(f"Rows left out: {told}.")
        typer.echo(f"{into} holds {counts.size:,} objects, vectors of {loaded.output_size} numbers.")
