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
_BEFORE_COLLECTIONS = {META, f"{META}.tmp", ".lock"}


def clear_begun(folder: Path) -> None:
    """Makes a folder usable again in which qdrant-client was killed before it had written anything.

    Args:
        folder: The folder; one that holds anything else, or is not there, stays as it is.
    """
    meta = folder / META
    begun = folder.is_dir() and {path.name for path in folder.iterdir()} <= _BEFORE_COLLECTIONS
    if begun and not (meta.exists() and meta.stat().st_size):
        for name in _BEFORE_COLLECTIONS:
            (folder / name).unlink(missing_ok=True)


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
        meta = strict_json.parse(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise IndexFolderError(f"{path} is damaged: {error!s:.200}. Make the index again") from error
    collections = meta.get("collections") if isinstance(meta, dict) else None
    if not isinstance(collections, dict) or not all(isinstance(one, dict) for one in collections.values()):
        raise IndexFolderError(f"{path} is damaged: it names no collections. Make the index again")


def _check_points(path: Path) -> None:
    # To be written, though it is only read: what a process that was killed has left half-written is taken back then.
    try:
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=rw", uri=True)) as database:
            for (record,) in database.execute("SELECT point FROM points"):
                _PointsOnly(io.BytesIO(record)).load()
    except (sqlite3.Error, pickle.UnpicklingError, TypeError, ValueError, AttributeError, EOFError) as error:
        raise IndexFolderError(f"{path} is not opened: {error!s:.200}") from error


class _PointsOnly(pickle.Unpickler):  # builds nothing but points: what else is named is refused
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) != _POINT:
            raise pickle.UnpicklingError(f"a record names {module}.{name}, expected points only")
        return super().find_class(module, name)
