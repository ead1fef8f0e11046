"""One collection of Qdrant, on a server, in a folder, or in memory."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from copy import copy
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from quaterion_models.extras import require
from quaterion_models.search.files import FORMAT_VERSION, IndexFolderError
from quaterion_models.search.qdrant_folder import META, check_qdrant_folder, is_begun

_OURS = "quaterion"
_FIELD = "field "
_IDS_AT_A_TIME = 1000
_QUERIES_AT_A_TIME = 64
_NUMBERS_AT_A_TIME = 2**17  # some megabytes as JSON; servers refuse requests of 32 MB
_SECONDS = 60
_FORBIDDEN = {401, 403}


class Description(NamedTuple):
    """What is kept with a collection.

    Attributes:
        dimension: Numbers in a vector.
        about: What was said of the index.
        fields: Fields that payloads have had.
        finished: Whether it is whole: neither a copy in the making nor one that is being removed.
    """

    dimension: int
    about: dict[str, Any]
    fields: frozenset[str]
    finished: bool


class QdrantCollection:
    """A collection that may or may not be there yet; its name may be another one's alias.

    Args:
        location: The URL of a server, a folder, or `":memory:"`.
        name: The collection's name.
        api_key: The server's key.

    Raises:
        ImportError: If qdrant-client is not installed.
        IndexFolderError: If the folder holds something else.
        ValueError: If a URL is none, or a folder is given a key.
    """

    def __init__(self, location: str | os.PathLike[str], name: str, api_key: str | None) -> None:
        self.location, self.name = os.fspath(location), name
        self.models: Any = require("qdrant_client.models", extra="qdrant")
        self._client = _client(self.location, api_key)

    def exists(self) -> bool:
        """Tells whether it is there."""
        return bool(self._real._ask("collection_exists"))  # noqa: SLF001

    @property
    def real_name(self) -> str:
        """What it is called itself, where its name is an alias; else its name."""
        names = {one.alias_name: one.collection_name for one in self._call("get_aliases").aliases}
        return str(names.get(self.name, self.name))

    @property
    def _real(self) -> QdrantCollection:
        """The collection under its own name, which everything takes that changes more than points."""
        return self.named(self.real_name)

    def take_over(self, name: str) -> None:
        """Makes a name an alias of this collection, and removes what had it: in one step where it was an alias before.

        A collection of that name itself goes first, since Qdrant lets no alias stand beside it.
        """
        other = self.named(name)._real  # noqa: SLF001
        if other.name == name:
            other.remove()
        alias = self.models.CreateAlias(collection_name=self.name, alias_name=name)
        self._call(
            "update_collection_aliases",
            change_aliases_operations=[self.models.CreateAliasOperation(create_alias=alias)],
        )
        if other.name not in (name, self.name):
            other.remove()

    def create(self, dimension: int, about: dict[str, Any], *, finished: bool = True) -> None:
        """Makes it.

        Args:
            dimension: Numbers in a vector.
            about: A JSON object to keep with it.
            finished: False while it is filled with what belongs to `about`.
        """
        vectors = self.models.VectorParams(size=dimension, distance=self.models.Distance.COSINE)
        ours = {"format_version": FORMAT_VERSION, "about": about, "finished": finished}
        self._ask("create_collection", vectors_config=vectors, metadata={_OURS: ours})

    def finish(self, description: Description) -> None:
        """Says that it is complete now."""
        self.add_fields(description.fields)
        ours = {"format_version": FORMAT_VERSION, "about": description.about, "finished": True}
        self._note({_OURS: ours})

    def remove(self) -> None:
        """Removes it with all that is in it, if it is there; killed on the way, it leaves one that is not finished."""
        if not self.exists():
            return
        ours = (self._ask("get_collection").config.metadata or {}).get(_OURS)
        real = self._real
        if isinstance(ours, dict):  # a folder loses the points first, and would hold an index without any
            real._note({_OURS: {**ours, "finished": False}})  # noqa: SLF001
        real._ask("delete_collection")  # noqa: SLF001

    def describe(self) -> Description:
        """Reads what is kept with it.

        Raises:
            IndexFolderError: If it is not there, or was made by something else.
        """
        if not self.exists():
            raise IndexFolderError(f"{self.location} has no collection {self.name!r}")
        config = self._ask("get_collection").config
        metadata, size = config.metadata or {}, getattr(config.params.vectors, "size", None)
        ours = metadata.get(_OURS)
        if not isinstance(ours, dict) or not isinstance(ours.get("about"), dict) or not isinstance(size, int):
            raise IndexFolderError(f"the collection {self.name!r} of {self.location} was not made by a QdrantIndex")
        if ours.get("format_version") != FORMAT_VERSION:
            raise IndexFolderError(
                f"the collection {self.name!r} has format_version {ours.get('format_version')!r:.50}, this library "
                f"reads {FORMAT_VERSION}. Install a newer one: pip install --upgrade quaterion-models"
            )
        fields = frozenset(name.removeprefix(_FIELD) for name in metadata if name.startswith(_FIELD))
        return Description(size, ours["about"], fields, ours.get("finished") is True)

    def add_fields(self, fields: frozenset[str]) -> None:
        """Notes fields of payloads; one entry for each, so that those of other processes stay."""
        if fields:
            self._note({_FIELD + field: True for field in sorted(fields)})

    def _note(self, metadata: dict[str, Any]) -> None:
        self._real._ask("update_collection", metadata=metadata)  # noqa: SLF001

    def count(self) -> int:
        """Counts its points."""
        return int(self._ask("count", exact=True).count)

    def held(self, points: Sequence[str]) -> set[str]:
        """Finds those points that are there."""
        there: set[str] = set()
        for some in _parts(points, _IDS_AT_A_TIME):
            there.update(str(record.id) for record in self._ask("retrieve", ids=some, with_payload=False))
        return there

    def payloads(self, points: Sequence[str]) -> dict[str, dict[str, Any]]:
        """Reads the payloads of those points that are there."""
        there: dict[str, dict[str, Any]] = {}
        for some in _parts(points, _IDS_AT_A_TIME):
            there.update((str(record.id), record.payload) for record in self._ask("retrieve", ids=some))
        return there

    def named(self, name: str) -> QdrantCollection:
        """Another collection of the same place, through the same connection."""
        other = copy(self)
        other.name = name
        return other

    def upsert(self, points: Sequence[str], vectors: NDArray[np.float32], payloads: Sequence[dict[str, Any]]) -> None:
        """Adds points, in parts."""
        size = min(max(_NUMBERS_AT_A_TIME // vectors.shape[1], 1), 256)
        for some in _parts(range(len(points)), size):
            part = slice(some[0], some[-1] + 1)
            batch = self.models.Batch(
                ids=list(points[part]), vectors=vectors[part].tolist(), payloads=list(payloads[part])
            )
            self._ask("upsert", points=batch, wait=True)

    def delete(self, points: Sequence[str]) -> None:
        """Removes points."""
        for some in _parts(points, _IDS_AT_A_TIME):
            self._ask("delete", points_selector=self.models.PointIdsList(points=some), wait=True)

    def nearest(self, queries: NDArray[np.float32], k: int, wanted: Any) -> Iterator[list[Any]]:
        """Gives for each query its scored points."""
        for some in _parts(queries.tolist(), _QUERIES_AT_A_TIME):
            requests = [
                self.models.QueryRequest(query=query, filter=wanted, limit=k, with_payload=True) for query in some
            ]
            yield from (answer.points for answer in self._ask("query_batch_points", requests=requests))

    def copy_to(self, other: QdrantCollection) -> None:
        """Copies all points."""
        offset = None
        while True:
            points, offset = self._ask("scroll", limit=256, offset=offset, with_payload=True, with_vectors=True)
            if points:
                vectors = np.array([point.vector for point in points], dtype=np.float32)
                other.upsert([str(point.id) for point in points], vectors, [point.payload for point in points])
            if offset is None:
                return

    def close(self) -> None:
        """Lets go of the server or the folder."""
        self._client.close()

    def _ask(self, method: str, **arguments: Any) -> Any:
        return self._call(method, collection_name=self.name, **arguments)

    def _call(self, method: str, **arguments: Any) -> Any:
        exceptions = require("qdrant_client.http.exceptions", extra="qdrant")
        try:
            return getattr(self._client, method)(**arguments)
        except exceptions.ResponseHandlingException as error:
            raise ConnectionError(
                f"no answer from Qdrant at {self.location}: {error!s:.200}. Start the server, or check the address"
            ) from error
        except exceptions.UnexpectedResponse as error:
            if error.status_code in _FORBIDDEN:
                raise PermissionError(f"Qdrant at {self.location} refuses the API key. Pass api_key=...") from error
            raise ConnectionError(
                f"the server at {self.location} answers {error.status_code} {error.reason_phrase}: "
                f"{error.content.decode(errors='replace')!r:.200}. Check the address, or read the server's log"
            ) from error
        except json.JSONDecodeError as error:
            raise ConnectionError(f"what answers at {self.location} is no Qdrant. Check the address") from error


def is_url(location: str | os.PathLike[str]) -> bool:
    """Tells whether a location is a server's, and not a folder's."""
    return os.fspath(location).startswith(("http://", "https://"))


def _parts(items: Sequence[Any], size: int) -> Iterator[list[Any]]:
    return (list(items[start : start + size]) for start in range(0, len(items), size))


def _client(location: str, api_key: str | None) -> Any:
    qdrant = require("qdrant_client", extra="qdrant")
    if is_url(location):
        try:
            return qdrant.QdrantClient(url=location, api_key=api_key, timeout=_SECONDS, check_compatibility=False)
        except ValueError as error:
            raise ValueError(
                f"{location!r:.200} is no address of a server: {error!s:.200}. Give one like http://localhost:6333"
            ) from error
    if api_key is not None:
        raise ValueError(f"an API key is for a server, and {location!r} is none. Pass its URL, or leave out api_key")
    if location == ":memory:":
        return qdrant.QdrantClient(location)
    folder = Path(location)
    if folder.exists() and not folder.is_dir():
        raise IndexFolderError(f"{folder} is a file, expected a folder or nothing. Choose another path")
    if is_begun(folder):
        (folder / META).unlink(missing_ok=True)
    elif folder.exists():
        check_qdrant_folder(folder)
    return qdrant.QdrantClient(path=location)
