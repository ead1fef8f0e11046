"""Where an index lies, and how one takes the place of another."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from quaterion_models.search import ExactIndex, FaissIndex, QdrantIndex, VectorIndex, open_index
from quaterion_models.search.files import INDEX, only_writer, read_index
from quaterion_models.search.qdrant_collection import QdrantCollection, is_url
from quaterion_models.search.qdrant_folder import META

__all__ = ["Destination", "Kind"]

Kind = Literal["exact", "faiss", "qdrant"]
_BESIDE, _FACTORY = "-rebuild", "Flat"


@dataclass(frozen=True)
class Destination:
    """Where an index lies or shall lie.

    Args:
        location: A folder, or the URL of a Qdrant server.
        kind: What is made there; None for Qdrant behind a URL and in its folders, else an exact index, or whatever is
            there already.
        factory: What faiss builds.
        collection: Name of the collection, with Qdrant.
        api_key: The server's key, with Qdrant.

    Raises:
        ValueError: If the options do not go together.

    Example:
        >>> Destination("http://localhost:6333").made_kind
        'qdrant'
    """

    location: str
    kind: Kind | None = None
    factory: str | None = None
    collection: str = "quaterion"
    api_key: str | None = None

    def __post_init__(self) -> None:
        if is_url(self.location) and self.kind not in (None, "qdrant"):
            raise ValueError(f"{self.location} is a server, which holds no index of kind {self.kind}. Give a folder.")
        if self.factory is not None and self.kind != "faiss":
            raise ValueError(f"the factory {self.factory!r:.60} is for faiss. Ask for the kind faiss (--kind faiss).")

    @property
    def made_kind(self) -> Kind:
        """What is made where nothing is there."""
        in_qdrant = is_url(self.location) or (not (self._folder / INDEX).exists() and (self._folder / META).exists())
        return self.kind or ("qdrant" if in_qdrant else "exact")

    @property
    def shown(self) -> str:
        """What it is called in messages."""
        return f"{self.location}, collection {self.collection}" if self.made_kind == "qdrant" else self.location

    def open(self) -> VectorIndex | None:
        """Opens the index that is there; None where there is none.

        Raises:
            IndexFolderError: If it cannot be read.
            ValueError: If it is of another kind or factory than asked for.
            ConnectionError: If no server answers.
        """
        if (otherwise := self.made_otherwise()) is not None:
            raise ValueError(otherwise)
        return self.open_any()

    def open_any(self) -> VectorIndex | None:
        """Opens the index that is there, of whatever kind; None where there is none.

        Raises:
            IndexFolderError: If it cannot be read.
            ConnectionError: If no server answers.
        """
        if not (self._folder / INDEX).exists():
            if self.made_kind != "qdrant" or not (is_url(self.location) or (self._folder / META).exists()):
                return None
            with self._in_qdrant() as found:
                if not found.exists():
                    return None
        return open_index(self.location, collection=self.collection, api_key=self.api_key)

    def made_otherwise(self) -> str | None:
        """Tells in what the index that is there differs from what is asked for; None where it does not."""
        if self.kind is None or not (self._folder / INDEX).exists():
            return None
        content = read_index(self._folder)
        if content.get("kind") != self.kind:
            return (
                f"{self.location} holds an index of another kind than {self.kind}. Leave out the kind, or choose "
                "another folder."
            )
        if self.factory not in (None, content.get("factory")):
            return (
                f"{self.location} was made with the factory {content.get('factory')!r:.60}, and not {self.factory!r}. "
                "Leave out the factory, or make the index again with rebuild=True (--rebuild)."
            )
        return None

    def create(self, dimension: int, about: dict[str, Any]) -> VectorIndex:
        """Makes an empty index there.

        Args:
            dimension: Numbers in a vector.
            about: What is kept with it.

        Raises:
            IndexFolderError: If the folder holds something else.
        """
        if self.made_kind == "qdrant":
            return QdrantIndex(self.location, dimension, collection=self.collection, about=about, api_key=self.api_key)
        index = (
            FaissIndex(dimension, self.factory or _FACTORY, about=about)
            if self.made_kind == "faiss"
            else ExactIndex(dimension, about=about)
        )
        index.save(self.location)  # what stands in the way is told before anything is encoded
        return index

    def beside(self) -> "Destination":
        """Where the index is built that shall take the place of this one."""
        if self.made_kind == "qdrant":
            return replace(self, kind="qdrant", collection=self._collection_beside())
        kind, factory = self.made_kind, self.factory
        if self.kind is None and (self._folder / INDEX).exists():  # the new index is of the kind of the old one
            content = read_index(self._folder)
            kind, factory = content.get("kind", kind), content.get("factory")
        if kind == "faiss":
            factory = factory or _FACTORY  # so that one of another factory is not gone on with
        return replace(self, kind=kind, factory=factory, location=f"{self._folder.resolve()}{_BESIDE}")

    def _collection_beside(self) -> str:
        """A name for the new collection, other than that of the one that an earlier rebuild put in place."""
        first = f"{self.collection}{_BESIDE}"
        if not is_url(self.location) and not (self._folder / META).exists():
            return first
        with self._in_qdrant() as found:
            return f"{first}-2" if found.real_name == first else first

    def check_replaceable(self) -> None:
        """Checks that an index can be made here, or take the place of what is here.

        Raises:
            IndexFolderError: If something else than an index is here.
            ValueError: If Qdrant cannot take the place of what is here.
        """
        if self.made_kind == "qdrant" and (otherwise := self.made_otherwise()) is not None:
            raise ValueError(otherwise)
        if self.made_kind != "qdrant":
            if self._folder.exists():
                with only_writer(self._folder):
                    pass
        elif is_url(self.location) or (self._folder / META).exists():
            with self._in_qdrant() as found:
                if found.exists():
                    found.describe()

    def put(self, built: VectorIndex) -> None:
        """Puts an index in place of what is here, in one step where this is a folder of files or an alias in Qdrant.

        Args:
            built: The index, which was built at `beside`; files there are removed.
        """
        if isinstance(built, QdrantIndex):
            built.move(self.collection)
            return
        place = self.beside()
        built.save(self.location)
        place.remove()

    def remove(self) -> None:
        """Removes what is here."""
        if self.made_kind == "qdrant":
            with self._in_qdrant() as found:
                found.remove()
        elif (self._folder / INDEX).exists():
            (self._folder / INDEX).unlink()  # killed on the way, it leaves no index that lacks files
            shutil.rmtree(self._folder)

    @property
    def _folder(self) -> Path:
        return Path(self.location)

    @contextmanager
    def _in_qdrant(self) -> Iterator[QdrantCollection]:
        found = QdrantCollection(self.location, self.collection, self.api_key)
        try:
            yield found
        finally:
            found.close()
