"""An index in Qdrant: a server, a folder, or memory."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self, final
from uuid import UUID, uuid5

from numpy.typing import ArrayLike

from quaterion_models.search.files import IndexFolderError
from quaterion_models.search.filters import parse_filter, unknown_field
from quaterion_models.search.given import (
    check_dimension,
    check_k,
    checked_ids,
    json_copy,
    new_ids,
    object_lines,
    refuse_held,
    unit_vectors,
)
from quaterion_models.search.qdrant_collection import Description, QdrantCollection, is_url
from quaterion_models.search.qdrant_filter import qdrant_filter
from quaterion_models.search.qdrant_folder import check_qdrant_folder
from quaterion_models.search.stored_vectors import parsed
from quaterion_models.search.vector_index import Filter, Hit, Id, Payload

_NAMESPACE = UUID("6d6f7b3e-5c0d-4d6c-9a55-0f6f2f1d7c11")  # of our ids among all UUIDs; never changes


@final
class QdrantIndex:
    """Vectors in a collection of Qdrant; `pip install "quaterion-models[qdrant]"`.

    The same code uses a server (version 1.16 or newer), a folder, or memory. What is added is kept at once. A folder
    belongs to one process until `close`, and suits up to some 20,000 objects. Qdrant decides the order of
    objects with equal scores.

    A point's id is a UUID made from the id of the object; its payload holds both: `{"id": …, "payload": …}`.

    Args:
        location: The URL of a server, such as `"http://localhost:6333"`; a folder; or `":memory:"`.
        dimension: Numbers in a vector.
        collection: Name of the collection that is made.
        about: A JSON object that is kept with the collection, such as the fingerprint of the model.
        api_key: The server's key.
        replace: Remove a collection of this name if there is one.

    Raises:
        ImportError: If qdrant-client is not installed.
        ValueError: If there is a collection of this name.
        ConnectionError: If no server answers.
        PermissionError: If the server wants another key.

    Example:
        >>> index = QdrantIndex(":memory:", 2)
        >>> index.add(["north", "east"], [[0.0, 1.0], [2.0, 0.0]])
        >>> index.search([[1.0, 1.5]], k=1)
        [[Hit(id='north', score=0.83..., payload={})]]
    """

    def __init__(
        self,
        location: str | os.PathLike[str],
        dimension: int,
        *,
        collection: str = "quaterion",
        about: dict[str, Any] | None = None,
        api_key: str | None = None,
        replace: bool = False,
    ) -> None:
        size, said = check_dimension(dimension), json_copy({} if about is None else about, "about")
        with _closed_on_error(QdrantCollection(location, collection, api_key)) as made:
            if made.exists():
                if not replace:
                    raise ValueError(
                        f"{made.location} has a collection {collection!r} already. Open it with QdrantIndex.load, "
                        "choose another name, or pass replace=True"
                    )
                made.remove()
            made.create(size, said)
        self._collection, self._description = made, Description(size, said, frozenset(), finished=True)

    @classmethod
    def load(
        cls, location: str | os.PathLike[str], /, *, collection: str = "quaterion", api_key: str | None = None
    ) -> Self:
        """Opens a collection that this class has made.

        Args:
            location: The URL of a server, or a folder.
            collection: Its name.
            api_key: The server's key.

        Returns:
            The index.

        Raises:
            IndexFolderError: If there is no such collection, or the folder is none of Qdrant's or not to be trusted.
            ConnectionError: If no server answers.
            PermissionError: If the server wants another key.
        """
        if not is_url(location):
            check_qdrant_folder(Path(location))
        with _closed_on_error(QdrantCollection(location, collection, api_key)) as found:
            description = found.describe()
            if not description.finished:
                raise IndexFolderError(
                    f"the collection {collection!r} is an unfinished copy. Save the index again, or go on with "
                    "quaterion index --rebuild"
                )
        index = cls.__new__(cls)
        index._collection, index._description = found, description  # noqa: SLF001
        return index

    @property
    def dimension(self) -> int:
        """Numbers in a vector."""
        return self._description.dimension

    @property
    def about(self) -> dict[str, Any]:
        """What was said of the index when it was made; a copy."""
        return dict(json_copy(self._description.about, "about"))

    def __len__(self) -> int:
        return self._collection.count()

    def add(self, ids: Sequence[Id], vectors: ArrayLike, payloads: Sequence[Payload | None] | None = None) -> None:
        """Adds objects: see `quaterion_models.search.VectorIndex.add`.

        They are sent in parts. Where the connection breaks, the parts that have arrived stay;
        `contains` tells which.
        """
        names, units = new_ids(ids), unit_vectors(vectors, self.dimension)
        # Read again from the JSON, so what is sent is what any other index would keep.
        objects = [parsed(line) for line in object_lines(names, payloads, len(units))]
        refuse_held([one for one, held in zip(names, self.contains(names), strict=True) if held])
        fields = frozenset(field for _, payload in objects for field in payload) - self._description.fields
        self._collection.add_fields(fields)
        self._description = self._description._replace(fields=self._description.fields | fields)
        points = [_point_id(one) for one in names]
        self._collection.upsert(points, units, [{"id": one, "payload": payload} for one, payload in objects])

    def search(self, vectors: ArrayLike, k: int = 10, filter: Filter | None = None) -> list[list[Hit]]:  # noqa: A002
        """Finds the most similar objects: see `quaterion_models.search.VectorIndex.search`."""
        check_k(k)
        queries, conditions = unit_vectors(vectors, self.dimension), parse_filter(filter)
        if not len(self):
            return [[] for _ in queries]
        for condition in conditions:
            if condition.field not in self._description.fields:
                self._description = self._collection.describe()  # another process may have added objects with it
            if condition.field not in self._description.fields:
                raise unknown_field(condition.field, self._description.fields)
        found = self._collection.nearest(queries, int(k), qdrant_filter(conditions, "payload"))
        return [[_hit(point) for point in points] for points in found]

    def delete(self, ids: Sequence[Id]) -> int:
        """Removes objects: see `quaterion_models.search.VectorIndex.delete`."""
        held = self._collection.held([_point_id(one) for one in checked_ids(ids)])
        self._collection.delete(sorted(held))
        return len(held)

    def contains(self, ids: Sequence[Id]) -> list[bool]:
        """Tells for each id whether the index holds it."""
        points = [_point_id(one) for one in checked_ids(ids)]
        held = self._collection.held(points)
        return [point in held for point in points]

    def payloads(self, ids: Sequence[Id]) -> list[Payload | None]:
        """Reads what is kept with objects: see `quaterion_models.search.VectorIndex.payloads`."""
        points = [_point_id(one) for one in checked_ids(ids)]
        found = self._collection.payloads(points)
        return [found[point]["payload"] if point in found else None for point in points]

    def move(self, collection: str) -> None:
        """Gives the collection a further name, in place of the collection that has it, which is removed.

        The new name is an alias. Where it was one before, this is one step, and whoever searches under that name meets
        either the old collection or the new one. Where it is the old collection's own name, that is removed first.

        Args:
            collection: The further name.

        Raises:
            ValueError: If it is the name that the collection has.
        """
        if collection == self._collection.name:
            raise ValueError(f"the collection is called {collection!r} already. Choose another name")
        self._collection.take_over(collection)
        self._collection = self._collection.named(collection)

    def save(self, folder: str | os.PathLike[str], /) -> None:
        """Copies the collection to a folder; in the folder that it lies in there is nothing to do.

        Killed on the way, it leaves a copy that cannot be loaded, and that the next save replaces.

        Args:
            folder: A folder without such a collection, or the URL of the index's own server.

        Raises:
            ValueError: If it is another server, or there is such a collection.
        """
        if _same_place(folder, self._collection.location):
            return
        if is_url(folder):
            raise ValueError(f"a copy on the server {folder} is made there: QdrantIndex({folder!r}, ...), then add")
        target = QdrantCollection(folder, self._collection.name, None)
        try:
            if target.exists():
                if target.describe().finished:
                    raise ValueError(f"{folder} has a collection {target.name!r} already. Choose another folder")
                target.remove()
            target.create(self.dimension, self.about, finished=False)
            self._collection.copy_to(target)
            target.finish(self._collection.describe())
        finally:
            target.close()

    def close(self) -> None:
        """Lets go of the server or the folder."""
        self._collection.close()


@contextmanager
def _closed_on_error(collection: QdrantCollection) -> Iterator[QdrantCollection]:
    try:
        yield collection
    except BaseException:
        collection.close()
        raise


def _same_place(one: str | os.PathLike[str], other: str) -> bool:
    if is_url(one) or is_url(other):
        return os.fspath(one).rstrip("/") == other.rstrip("/")
    return other != ":memory:" and Path(one).resolve() == Path(other).resolve()


def _point_id(one: Id) -> str:
    return str(uuid5(_NAMESPACE, f"{type(one).__name__} {one}"))


def _hit(point: Any) -> Hit:
    return Hit(point.payload["id"], min(max(point.score, -1.0), 1.0), point.payload["payload"])
