"""What `quaterion cache` prints: tables of stores, all about one of them, what is damaged and what would go."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer
from rich import box
from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from quaterion.cache.maintenance import StoreInfo
    from quaterion.cache.pruning import KeptStore, Removal
    from quaterion.cache.store_check import Damage

__all__ = [
    "folder_as_json",
    "print_damage",
    "print_kept",
    "print_readings",
    "print_removals",
    "print_store",
    "print_stores",
    "size",
]


def print_stores(stores: "Sequence[StoreInfo]", readings: Sequence[Path], *, now: float) -> None:
    """Prints a table of stores and their totals.

    Args:
        stores: The stores.
        readings: Files with readings of data sets.
        now: Seconds since 1970.
    """
    cells = [_cells(store, now) for store in stores]
    names = ("store", "encoder", "rows", "dim", "dtype", "size", "made", "used", "state")
    widths = [max(map(len, column)) for column in zip(names, *cells, strict=True)]
    room = Console().width - (sum(widths) - widths[1]) - (len(widths) - 1)
    table = _table(gap=1)
    for name in names:
        table.add_column(
            name,
            justify="right" if name in {"rows", "dim", "size", "made", "used"} else "left",
            no_wrap=True,
            # Where it is narrow, names of encoders are cut, and no number is.
            max_width=max(room, len("encoder")) if name == "encoder" else None,
        )
    for row in cells:
        table.add_row(*row)
    _print(table)
    rows = sum(store.manifest.rows for store in stores if store.manifest)
    bytes_ = size(sum(store.disk_bytes for store in stores))
    typer.echo(f"\n{_count(len(stores), 'store')}, {rows:,} rows, {bytes_}.{_readings(readings)}")
    unused = sum(store.unused_bytes for store in stores if not store.writing)
    if unused:
        typer.echo(f"quaterion cache prune gives back {size(unused)} that no vector needs.")
    for store in stores:
        if store.problem:
            typer.echo(f"{store.short_name}: {store.problem}.")


def print_store(store: "StoreInfo", *, now: float) -> None:
    """Prints all about one store.

    Args:
        store: The store.
        now: Seconds since 1970.
    """
    about = store.manifest
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    table.add_row("store", store.folder.name)
    if store.problem:
        table.add_row("problem", store.problem)
    if about is not None:
        counted = sum(part.counted_bytes for part in store.parts)
        table.add_row("encoder", about.encoder)
        table.add_row("fingerprint", about.fingerprint)
        table.add_row(about.content, f"{about.rows:,} of {about.dimension} {about.dtype} numbers")
        shards = _count(len(about.shards), "shard")
        table.add_row(
            "in", f"{shards} in {_count(len(store.parts), 'part')}, {size(counted)} of keys and {about.content}"
        )
        table.add_row("made", _time(about.created, now))
    if store.state != "link":
        table.add_row("used", _time(store.last_use, now))
        unused = f", {size(store.unused_bytes)} of them unused" if store.unused_bytes else ""
        table.add_row("on disk", f"{size(store.disk_bytes)}{unused}")
        table.add_row("writers", _writers(store))
        for file in store.leftovers:
            table.add_row("leftover", f"{file.name} ({size(file.stat().st_size)})")
        for file in store.foreign:
            table.add_row("no store's", file.name)
    _print(table)
    if store.parts:
        typer.echo()
        _print(_parts(store))
    typer.echo()


def print_readings(readings: Sequence[Path]) -> None:
    """Prints the files with readings of data sets.

    Args:
        readings: The files.
    """
    typer.echo(_readings(readings).strip() or "No readings of data sets.")
    for file in readings:
        typer.echo(f"  {file.name}  {size(file.stat().st_size)}")


def print_damage(store: "StoreInfo", damages: "Sequence[Damage]") -> None:
    """Prints whether a store is whole.

    Args:
        store: The store.
        damages: What is damaged in it.
    """
    if store.manifest is None:
        typer.echo(f"{store.short_name}  not checked: {store.problem}.")
        return
    about = f"{store.short_name}  {store.manifest.encoder}, {store.manifest.rows:,} rows"
    typer.echo(f"{about}: damaged" if damages else f"{about}: whole")
    for damage in damages:
        rows = f"rows {damage.start:,} to {damage.start + damage.rows - 1:,}"
        typer.echo(f"  {damage.file}, {rows}: {damage.problem}")


def print_removals(removals: "Sequence[Removal]") -> None:
    """Prints what would be removed.

    Args:
        removals: What would be removed.
    """
    table = _table()
    for name in ("remove", "of", "because"):
        table.add_column(name, overflow="fold")
    table.add_column("frees", justify="right", no_wrap=True)
    for removal in removals:
        what = {"store": "store", "leftovers": "leftovers in", "reading": "reading"}[removal.kind]
        store = removal.store
        encoder = f" ({store.manifest.encoder})" if store and store.manifest else ""
        name = f"{store.short_name}{encoder}" if store else removal.path.name
        table.add_row(what, name, removal.reason, size(removal.freed_bytes))
    _print(table)
    typer.echo(f"\n{size(sum(removal.freed_bytes for removal in removals))} in all.")


def print_kept(kept: "Sequence[KeptStore]") -> None:
    """Prints what is left as it is although it was chosen.

    Args:
        kept: The stores and the reasons.
    """
    for one in kept:
        typer.echo(f"{one.store.short_name} stays: {one.reason}.")


def folder_as_json(folder: Path, stores: "Sequence[StoreInfo]", readings: Sequence[Path]) -> str:
    """All about a folder of stores, for other programs; sizes in bytes, times in UTC.

    Args:
        folder: The folder.
        stores: Its stores.
        readings: Files with readings of data sets.

    Returns:
        JSON.
    """
    content = {
        "folder": str(folder),
        "stores": [_as_dict(store) for store in stores],
        "readings": [{"file": file.name, "bytes": file.stat().st_size} for file in readings],
    }
    return json.dumps(content, indent=2)


def size(bytes_: int) -> str:
    """Bytes as people read them.

    Args:
        bytes_: Number of bytes.

    Example:
        >>> size(512), size(5 * 2**20)
        ('512 B', '5.0 MiB')
    """
    if bytes_ < 1024:
        return f"{bytes_} B"
    value = float(bytes_)
    for unit in ("KiB", "MiB", "GiB"):
        value /= 1024
        if value < 1000:
            return f"{value:.1f} {unit}"
    return f"{value / 1024:.1f} TiB"


def _cells(store: "StoreInfo", now: float) -> list[str]:
    about = store.manifest
    used = "?" if store.state == "link" else _age(now - store.last_use)
    if about is None:
        return [store.short_name, *"????", size(store.disk_bytes), "?", used, _state(store)]
    numbers = [f"{about.rows:,}", str(about.dimension), about.dtype, size(store.disk_bytes)]
    return [store.short_name, about.encoder, *numbers, _age(now - about.created), used, _state(store)]


def _as_dict(store: "StoreInfo") -> dict[str, Any]:
    about = store.manifest
    counted = sum(part.counted_bytes for part in store.parts)
    return {
        "name": store.folder.name,
        "short_name": store.short_name,
        "state": store.state,
        "problem": store.problem,
        "encoder": about and about.encoder,
        "fingerprint": about and about.fingerprint,
        "kind": about and about.kind,
        "rows": about and about.rows,
        "dimension": about and about.dimension,
        "dtype": about and about.dtype,
        "created": about and _utc(about.created),
        "last_use": None if store.state == "link" else _utc(store.last_use),
        "bytes": store.disk_bytes,
        "counted_bytes": counted,
        "unused_bytes": store.unused_bytes,
        "writing": store.writing,
        "parts": [asdict(part) for part in store.parts],
        "leftovers": [file.name for file in store.leftovers],
        "foreign": [file.name for file in store.foreign],
    }


def _parts(store: "StoreInfo") -> Table:
    table = _table()
    for name in ("part", "shards", "rows", "that count", "on disk", "unused"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("written now", no_wrap=True)
    for part in store.parts:
        sizes = [size(count) for count in (part.counted_bytes, part.disk_bytes, part.unused_bytes)]
        now = f"yes, {_count(part.claimed, 'object')} claimed" if part.writing else ""
        table.add_row(str(part.number), str(len(part.shards)), f"{part.rows:,}", *sizes, now)
    return table


def _state(store: "StoreInfo") -> str:
    if store.state != "ok":
        return store.state
    return {True: "writing", False: "", None: "busy?"}[store.writing]


def _writers(store: "StoreInfo") -> str:
    if store.writing is None:
        return "cannot be told; the folder is busy, or must not be written"
    writers = sum(part.writing for part in store.parts) or int(store.writing)
    return f"{_count(writers, 'process', 'processes')} now" if writers else "none now"


def _readings(readings: Sequence[Path]) -> str:
    if not readings:
        return ""
    return f" {_count(len(readings), 'reading')} of data sets, {size(sum(file.stat().st_size for file in readings))}."


def _count(number: int, one: str, many: str | None = None) -> str:
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def _age(seconds: float) -> str:
    for unit, length in (("d", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{seconds / length:,.0f} {unit}"
    return "now"


def _time(seconds: float, now: float) -> str:
    age = _age(now - seconds)
    when = datetime.fromtimestamp(seconds).astimezone().strftime("%Y-%m-%d %H:%M")
    return f"{when} (just now)" if age == "now" else f"{when} ({age} ago)"


def _utc(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")


def _table(gap: int = 2) -> Table:
    # The box puts one space between columns.
    return Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, gap - 1, 0, 0))


def _print(table: Table) -> None:
    Console(highlight=False, markup=False).print(table)
