"""`quaterion cache`: what lies in a folder of cached vectors, whether it is whole, and removing what serves nobody."""

import re
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from quaterion.cli.running import EXIT_CODES, running

if TYPE_CHECKING:
    from collections.abc import Sequence

    from quaterion.cache.maintenance import StoreInfo
    from quaterion.cache.pruning import Removal

__all__ = ["cache"]

SECONDS = {"h": 3600, "d": 86_400, "w": 7 * 86_400}

cache = typer.Typer(
    name="cache",
    no_args_is_help=True,
    epilog=EXIT_CODES,
    help="Look after the folder where trainings keep cached vectors.\n\n"
    "FOLDER is what a training got as CacheConfig(save_dir=...). It holds a store for each encoder and precision, and "
    "what was read of data sets.\n\nExample: quaterion cache ls vectors",
)


def _duration(text: str) -> float:
    found = re.fullmatch(r"(\d+)([hdw])", text.strip())
    if not found:
        raise typer.BadParameter(f"Got {text!r}; expected a number of hours, days or weeks, such as 12h, 30d or 8w.")
    return float(found[1]) * SECONDS[found[2]]


Folder = Annotated[Path, typer.Argument(metavar="FOLDER", help="What CacheConfig got as save_dir.", show_default=False)]
Store = Annotated[
    str | None,
    typer.Argument(metavar="[STORE]", help="One store, by name or its beginning; all by default.", show_default=False),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for other programs.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Remove without asking.")]

# One line for each paragraph: the help is wrapped to the terminal's width.
LS = (
    "List the stores: whose vectors they hold, how many, how large and how old they are, and which are in use.\n\n"
    "The name in the first column, or the beginning of it, is what the other commands take as STORE.\n\n"
    "Example: quaterion cache ls vectors"
)
INFO = (
    "Show all about one store, or about all: parts, unused bytes, writers, leftover files.\n\n"
    "Example: quaterion cache info vectors 1f3a8c21"
)
VERIFY = (
    "Compare all vectors with their checksums, and name damaged files and rows.\n\n"
    "Changes nothing. A training mends its cache by itself: it sets damaged rows aside and encodes them again. "
    "Exit code 1 means that something is damaged or cannot be read.\n\n"
    "Example: quaterion cache verify vectors"
)
PRUNE = (
    "Remove what serves nobody any more, after asking.\n\n"
    "Without options that is what --damaged removes. Readings of data sets that are damaged, or of whose objects no "
    "store has vectors, always go. What a process writes to stays, and so does what is of a newer format.\n\n"
    "Example: quaterion cache prune vectors --older-than 30d --dry-run"
)
RM = (
    "Remove stores, after asking.\n\n"
    "A training that needs one of them encodes its data anew.\n\n"
    "Example: quaterion cache rm vectors 1f3a8c21"
)


@cache.command(help=LS, epilog=EXIT_CODES)
def ls(context: typer.Context, folder: Folder, json: Json = False) -> None:
    """See `LS`, which is what the command shows."""
    with running(context):
        from quaterion.cache.maintenance import list_stores, reading_files
        from quaterion.cli.cache_report import folder_as_json, print_stores

        stores, readings = list_stores(folder), reading_files(folder)
        if json:
            typer.echo(folder_as_json(folder, stores, readings))
        elif stores:
            print_stores(stores, readings, now=time.time())
        else:
            typer.echo(_no_store(folder))


@cache.command(help=INFO, epilog=EXIT_CODES)
def info(context: typer.Context, folder: Folder, store: Store = None, json: Json = False) -> None:
    """See `INFO`, which is what the command shows."""
    with running(context):
        from quaterion.cache.maintenance import reading_files
        from quaterion.cli.cache_report import folder_as_json, print_readings, print_store

        stores, readings = _chosen(folder, store), reading_files(folder)
        if json:
            typer.echo(folder_as_json(folder, stores, readings))
            return
        for one in stores:
            print_store(one, now=time.time())
        print_readings(readings)


@cache.command(help=VERIFY, epilog=EXIT_CODES)
def verify(context: typer.Context, folder: Folder, store: Store = None) -> None:
    """See `VERIFY`, which is what the command shows."""
    with running(context):
        from quaterion.cache.store_check import check_store
        from quaterion.cli.cache_report import print_damage
        from quaterion.cli.progress import progress_bar

        stores = _chosen(folder, store)
        total = sum(one.manifest.rows for one in stores if one.manifest)
        # All is printed behind the bar, which would draw over it, or take it from a file to the terminal.
        with progress_bar("Comparing", total) as advance:
            found = [check_store(one.folder, one.manifest, advance) if one.manifest else () for one in stores]
        for one, damages in zip(stores, found, strict=True):
            print_damage(one, damages)
        wrong = sum(bool(damages) or one.manifest is None for one, damages in zip(stores, found, strict=True))
        if wrong:
            typer.echo(
                f"\nNot whole, or not checked: {wrong} of {len(stores)}. Nothing was changed. The next training that "
                "uses a damaged store sets its damaged rows aside and encodes them again; nothing else need be done."
            )
            raise typer.Exit(1)


@cache.command(help=PRUNE, epilog=EXIT_CODES)
def prune(
    context: typer.Context,
    folder: Folder,
    older_than: Annotated[
        float | None,
        typer.Option(parser=_duration, metavar="AGE", help="Stores last used longer ago: 12h, 30d, 8w."),
    ] = None,
    keep_last: Annotated[
        int | None,
        typer.Option(min=0, help="Stores, all but so many last used. With --older-than: keeps these, however old."),
    ] = None,
    damaged: Annotated[
        bool,
        typer.Option("--damaged", help="Damaged stores, files set aside as damaged, and unused bytes."),
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what would be removed.")] = False,
    yes: Yes = False,
) -> None:
    """See `PRUNE`, which is what the command shows."""
    with running(context):
        from quaterion.cache.maintenance import list_stores
        from quaterion.cache.pruning import plan_prune
        from quaterion.cli.cache_report import print_kept, print_removals

        plan = plan_prune(
            folder,
            list_stores(folder),
            now=time.time(),
            older_than=older_than,
            keep_last=keep_last,
            damaged=damaged or (older_than is None and keep_last is None),
        )
        print_kept(plan.kept)
        if not plan.removals:
            typer.echo(f"Nothing to remove from {folder}.")
            return
        print_removals(plan.removals)
        if dry_run:
            typer.echo("Nothing was removed (--dry-run).")
        else:
            _remove(plan.removals, yes=yes)


@cache.command(help=RM, epilog=EXIT_CODES)
def rm(
    context: typer.Context,
    folder: Folder,
    stores: Annotated[
        list[str], typer.Argument(metavar="STORE...", help="Stores, by name or its beginning.", show_default=False)
    ],
    yes: Yes = False,
) -> None:
    """See `RM`, which is what the command shows."""
    with running(context):
        from quaterion.cache.pruning import plan_removal
        from quaterion.cli.cache_report import print_removals

        named = {one.folder: one for name in stores for one in _chosen(folder, name)}
        removals = plan_removal(list(named.values()))
        print_removals(removals)
        _remove(removals, yes=yes)


def _chosen(folder: Path, name: str | None) -> "Sequence[StoreInfo]":
    from quaterion.cache.maintenance import find_store, list_stores

    stores = list_stores(folder)
    if not stores:
        raise ValueError(_no_store(folder))
    return stores if name is None else [find_store(stores, name)]


def _no_store(folder: Path) -> str:
    return f"{folder} holds no store; a training with CacheConfig(save_dir={str(folder)!r}) makes one."


def _remove(removals: "Sequence[Removal]", *, yes: bool) -> None:
    from quaterion.cache.pruning import carry_out
    from quaterion.cache.store_locks import StoreInUseError
    from quaterion.cli.cache_report import size

    if not yes:
        typer.echo("Remove? [y/N] ", nl=False)
        answer = sys.stdin.readline()
        if not answer:
            typer.echo()
            raise ValueError("No answer, so nothing was removed. Give --yes where nobody can be asked.")
        if answer.strip().lower() not in {"y", "yes"}:
            typer.echo("Nothing was removed.")
            raise typer.Exit(1)
    freed, left = 0, 0
    for removal in removals:
        try:
            freed += carry_out(removal)
        except StoreInUseError as error:
            left += 1
            typer.echo(str(error), err=True)
    typer.echo(f"Freed {size(freed)}.")
    if left:
        raise typer.Exit(1)
