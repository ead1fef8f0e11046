"""`quaterion search`: the objects of an index that are most similar to queries."""

import json
import os
import re
import sys
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

from quaterion.cli.index import API_KEY, Collection, Device
from quaterion.cli.options import ModelName
from quaterion.cli.running import EXIT_CODES, running

if TYPE_CHECKING:
    from rich.text import Text

    from quaterion_models.search import Hit, VectorIndex

__all__ = ["SEARCH", "parse_conditions", "search"]

# One line for each paragraph: the help is wrapped to the terminal's width.
SEARCH = (
    "Find the objects of an index that are most similar to queries.\n\n"
    "MODEL is the model that quaterion index got. INDEX is a folder of any kind of index, or the URL of a Qdrant "
    "server, whose API key is read from the environment variable QDRANT_API_KEY.\n\n"
    "Without queries, each line of the standard input is one, answered as soon as it is read. In a terminal the "
    "answers are tables, else JSON lines: an object with the query and its hits for each query.\n\n"
    'Example: quaterion search my-model articles "lost my card" --k 3 --filter lang=en --filter "year>=2000"\n\n'
    + EXIT_CODES
)
_BOUNDS = {">=": "gte", ">": "gt", "<=": "lte", "<": "lt"}
_CONDITION = re.compile(r"\s*([^<>=]+?)\s*(>=|<=|=|>|<)\s*(.*?)\s*", re.DOTALL)
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", re.IGNORECASE)


def search(
    context: typer.Context,
    model: ModelName,
    index: Annotated[
        str, typer.Argument(metavar="INDEX", help="Folder, or URL of a Qdrant server.", show_default=False)
    ],
    queries: Annotated[
        list[str] | None, typer.Argument(metavar="[QUERY]...", help="Texts to search with.", show_default=False)
    ] = None,
    k: Annotated[int, typer.Option("--k", min=1, help="Hits for each query.")] = 10,
    conditions: Annotated[
        list[str] | None,
        typer.Option(
            "--filter",
            metavar="FIELD=VALUE",
            help="Search only objects with this field; also >, >=, < and <= with numbers. May be given several times: "
            "of several values for a field one has to fit, and all ranges.",
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON lines in a terminal, too.")] = False,
    collection: Collection = "quaterion",
    device: Device = None,
) -> None:
    """See `SEARCH`, which is what the command shows."""
    wanted = parse_conditions(conditions or [])
    with running(context):
        opened = _opened(index, collection)
        from quaterion.cli.evaluate_models import load_model
        from quaterion.indexing import check_model

        loaded = load_model(model)
        if device is not None:
            loaded.to(device)
        check_model(opened, loaded, index)
        if not queries and sys.stdin.isatty():
            typer.echo("Type a query and Enter; Ctrl-D ends.", err=True)
        for query in map(_checked, queries or _lines(sys.stdin.buffer)):
            hits = opened.search(loaded.encode_query([query]), k, wanted)[0]
            if as_json or not sys.stdout.isatty():
                found = [hit._asdict() for hit in hits]
                typer.echo(json.dumps({"query": query, "hits": found}, ensure_ascii=False))
            else:
                _print(query, hits, opened.about)


def parse_conditions(conditions: Iterable[str]) -> dict[str, Any] | None:
    """Reads what `--filter` got.

    Args:
        conditions: Texts such as `lang=en` or `year>=2000`.

    Returns:
        A filter for `quaterion_models.search.VectorIndex.search`, None for none. What looks like a number or a
        truth value stands for the text as well.

    Raises:
        typer.BadParameter: If one is no condition, or a field has both a value and a range.

    Example:
        >>> parse_conditions(["lang=en", "year>=2000", "year<2010"])
        {'lang': ['en'], 'year': {'gte': 2000, 'lt': 2010}}
    """
    result: dict[str, Any] = {}
    for condition in conditions:
        found = _CONDITION.fullmatch(condition)
        if found is None:
            raise typer.BadParameter(
                f"The filter {condition!r} is no condition; expected one like lang=en or year>=2000."
            )
        field, sign, text = found.groups()
        values = _values(text)
        held = result.setdefault(field, [] if sign == "=" else {})
        if isinstance(held, list) != (sign == "="):
            raise typer.BadParameter(f"The filters for {field!r} are a value and a range; expected one of these.")
        if isinstance(held, list):
            held.extend(values)
        elif len(values) == 1 or isinstance(values[1], bool):
            raise typer.BadParameter(f"The filter {condition!r} compares with {text!r}; expected a number.")
        elif _BOUNDS[sign] in held:
            raise typer.BadParameter(f"The filters give two bounds {field}{sign}; expected one.")
        else:
            held[_BOUNDS[sign]] = values[1]
    return result or None


def _values(text: str) -> list[Any]:
    """A text, and what else it may stand for."""
    if text in ("true", "false"):
        return [text, text == "true"]
    if _NUMBER.fullmatch(text):
        return [text, int(text) if text.lstrip("+-").isdecimal() else float(text)]
    return [text]


def _opened(location: str, collection: str) -> "VectorIndex":
    from quaterion_models.search import open_index
    from quaterion_models.search.qdrant_collection import is_url

    key = os.environ.get(API_KEY) if is_url(location) else None
    opened = open_index(location, collection=collection, api_key=key)
    if not len(opened):
        raise ValueError(f"{location} is empty: there is nothing to find. Fill it with quaterion index")
    return opened


def _lines(lines: Iterable[bytes]) -> Iterator[str]:
    return (text for line in lines if (text := line.decode("utf-8", "surrogateescape").strip()))


def _checked(query: str) -> str:
    try:
        query.encode()
    except UnicodeEncodeError:
        raise ValueError(f"the query {query!r:.60} is no UTF-8. Write queries in UTF-8") from None
    return query


def _print(query: str, hits: "list[Hit]", about: dict[str, Any]) -> None:
    """Prints the hits of a query as a table: score, text, and the other fields."""
    from rich.console import Console
    from rich.table import Table

    console = Console()
    if not hits:
        console.print(_cell(f"{query}\n  nothing found"))
        return
    first = about.get("columns", {}).get("text")
    names = list(dict.fromkeys(name for hit in hits for name in hit.payload))
    names.sort(key=lambda name: name != first)
    table = Table(title=_cell(query), title_justify="left", box=None, pad_edge=False, header_style="bold")
    # A digest of 32 digits tells people nothing.
    with_ids = about.get("columns", {}).get("id") is not None or not names
    for name in ["score", *(["id"] if with_ids else []), *names]:
        table.add_column(_cell(name), justify="right" if name == "score" else "left", overflow="fold")
    for hit in hits:
        cells = [f"{hit.score:.3f}", *([str(hit.id)] if with_ids else [])]
        cells += ["" if (value := hit.payload.get(name)) is None else str(value) for name in names]
        table.add_row(*map(_cell, cells))
    console.print(table)
    console.print()


def _cell(text: str) -> "Text":
    """A text as it is shown: what an index holds may come from strangers, and must not steer the terminal."""
    from rich.text import Text

    return Text("".join(one if one.isprintable() or one == "\n" else " " for one in text))
