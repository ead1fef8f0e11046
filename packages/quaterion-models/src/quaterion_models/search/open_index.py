"""Opening an index without knowing what kind it is."""

from __future__ import annotations

import os
from pathlib import Path

from quaterion_models.search.exact_index import ExactIndex
from quaterion_models.search.faiss_index import FaissIndex
from quaterion_models.search.files import INDEX, IndexFolderError, read_index
from quaterion_models.search.qdrant_collection import is_url
from quaterion_models.search.qdrant_folder import META
from quaterion_models.search.qdrant_index import QdrantIndex
from quaterion_models.search.stored_index import StoredIndex
from quaterion_models.search.vector_index import VectorIndex

_KINDS: dict[str, type[StoredIndex]] = {"exact": ExactIndex, "faiss": FaissIndex}


def open_index(
    location: str | os.PathLike[str], *, collection: str = "quaterion", api_key: str | None = None
) -> VectorIndex:
    """Opens a saved index of any kind.

    Args:
        location: A folder, or the URL of a Qdrant server.
        collection: Name of the collection, with Qdrant.
        api_key: The server's key, with Qdrant.

    Returns:
        The index.

    Raises:
        IndexFolderError: If there is no index, or it is damaged.
        ImportError: If a library that it needs is not installed.
        ConnectionError: If no server answers.

    Example:
        >>> import tempfile
        >>> index = ExactIndex(2)
        >>> index.add(["north"], [[0.0, 1.0]])
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     index.save(folder)
        ...     len(open_index(folder))
        1
    """
    folder = Path(location)
    if is_url(location) or (not (folder / INDEX).exists() and (folder / META).exists()):
        return QdrantIndex.load(location, collection=collection, api_key=api_key)
    kind = read_index(folder).get("kind")
    if not isinstance(kind, str) or kind not in _KINDS:
        raise IndexFolderError(f"{folder / INDEX} names the kind {kind!r:.50}, expected one of {', '.join(_KINDS)}")
    return _KINDS[kind].load(folder)
