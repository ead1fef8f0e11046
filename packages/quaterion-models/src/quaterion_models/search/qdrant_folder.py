"""Folders of Qdrant's local mode, looked at before qdrant-client opens them: it unpickles what it finds there."""

from __future__ import annotations

import io
import pickle
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from quaterion_models.saving import strict_json
from quaterion_models.search.files import IndexFolderError

META = "meta.json"
_COLLECTIONS = "collection"
_POINT = ("qdrant_client.http.models.models", "PointStruct")
# What unpickling anything may raise.
_DAMAGED = (
    pickle.UnpicklingError,
    ArithmeticError,
    AttributeError,
    EOFError,
    LookupError,
    MemoryError,
    TypeError,
    ValueError,
)
_BEFORE_COLLECTIONS = {META, f"{META}.tmp", ".lock"}


def is_begun(folder: Path) -> bool:
    """Tells whether qdrant-client was killed in a folder before it had written anything.

    Args:
        folder: The folder.

    Returns:
        Whether there is nothing in it but a lock or an empty list of collections.
    """
    if not folder.is_dir() or not {path.name for path in folder.iterdir()} <= _BEFORE_COLLECTIONS:
        return False
    meta = folder / META
    return not meta.exists() or not meta.stat().st_size


def check_qdrant_folder(folder: Path) -> None:
    """Checks that a folder holds points of Qdrant, and nothing that runs code when it is unpickled.

    Args:
        folder: The folder.

    Raises:
        IndexFolderError: If it is no folder of Qdrant's local mode, is damaged, has links, or a record that is no
            point.
    """
    if not (folder / META).is_file():
        raise IndexFolderError(f"{folder} holds no Qdrant collections: there is no {META}")
    _check_meta(folder / META)
    for path in (folder / META, folder / _COLLECTIONS, *(folder / _COLLECTIONS).rglob("*")):
        if path.is_symlink():
            raise IndexFolderError(f"{path} is a link: not followed")
        if path.name == "storage.sqlite":
            _check_points(path)


def _check_meta(path: Path) -> None:
    try:
        meta = strict_json.parse(strict_json.read_bytes(path))
    except (ValueError, RecursionError) as error:
        raise IndexFolderError(f"{path} is damaged: {error!s:.200}. Make the index again") from error
    collections = meta.get("collections") if isinstance(meta, dict) else None
    if not isinstance(collections, dict) or not all(isinstance(one, dict) for one in collections.values()):
        raise IndexFolderError(f"{path} is damaged: it names no collections. Make the index again")
    aliases = meta.get("aliases")
    if not isinstance(aliases, dict) or not all(
        isinstance(one, str) and one in collections for one in aliases.values()
    ):
        raise IndexFolderError(f"{path} is damaged: its aliases name no collections. Make the index again")


def _check_points(path: Path) -> None:
    # To be written, though it is only read: what a process that was killed has left half-written is taken back then.
    try:
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=rw", uri=True)) as database:
            # Killed before it had made the table, qdrant-client makes it when it opens the folder.
            there = "SELECT 1 FROM sqlite_master WHERE name = 'points' COLLATE NOCASE"
            records = database.execute("SELECT point FROM points") if database.execute(there).fetchone() else ()
            for (record,) in records:
                _PointsOnly(io.BytesIO(record)).load()
    except (sqlite3.Error, *_DAMAGED) as error:
        raise IndexFolderError(f"{path} is not opened: {error!s:.200}") from error


class _PointsOnly(pickle.Unpickler):  # builds nothing but points: what else is named is refused
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) != _POINT:
            raise pickle.UnpicklingError(f"a record names {module}.{name}, expected points only")
        return super().find_class(module, name)
