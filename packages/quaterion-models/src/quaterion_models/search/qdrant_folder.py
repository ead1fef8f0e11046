"""Folders of Qdrant's local mode, looked at before qdrant-client opens them: it unpickles what it finds there."""

from __future__ import annotations

import io
import pickle
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from quaterion_models.search.files import IndexFolderError

META = "meta.json"
_COLLECTIONS = "collection"
_POINT = ("qdrant_client.http.models.models", "PointStruct")


def check_qdrant_folder(folder: Path) -> None:
    """Checks that a folder holds points of Qdrant, and nothing that runs code when it is unpickled.

    Args:
        folder: The folder.

    Raises:
        IndexFolderError: If it is no folder of Qdrant's local mode, has links, or a record that is no point.
    """
    if not (folder / META).is_file():
        raise IndexFolderError(f"{folder} holds no Qdrant collections: there is no {META}")
    for path in (folder / META, folder / _COLLECTIONS, *(folder / _COLLECTIONS).rglob("*")):
        if path.is_symlink():
            raise IndexFolderError(f"{path} is a link: not followed")
        if path.name == "storage.sqlite":
            _check_points(path)


def _check_points(path: Path) -> None:
    try:
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as database:
            for (record,) in database.execute("SELECT point FROM points"):
                _PointsOnly(io.BytesIO(record)).load()
    except (sqlite3.Error, pickle.UnpicklingError, TypeError, ValueError, AttributeError, EOFError) as error:
        raise IndexFolderError(f"{path} is not opened: {error!s:.200}") from error


class _PointsOnly(pickle.Unpickler):  # builds nothing but points: what else is named is refused
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) != _POINT:
            raise pickle.UnpicklingError(f"a record names {module}.{name}, expected points only")
        return super().find_class(module, name)
