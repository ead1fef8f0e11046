"""What indexes have in common that keep their objects in memory or in a folder."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from quaterion_models.search import files
from quaterion_models.search.filters import parse_filter
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
from quaterion_models.search.mapped_lines import MappedLines
from quaterion_models.search.nearest import Nearest, best_first
from quaterion_models.search.stored_vectors import Segment, StoredVectors
from quaterion_models.search.vector_index import Filter, Hit, Id, Payload

_SMALL_SEGMENT = 2**16  # rows; smaller ones are written again together with what is new
_BLOCK_ROWS = 8192
_VECTOR = np.dtype("<f4")
_LIVE = np.dtype(bool)
_MOST_TRIES = 3


class _Saved(NamedTuple):
    """What an index has last saved, or was loaded from."""

    folder: Path
    content: dict[str, Any]
    stored: StoredVectors  # whose rows the files hold


class StoredIndex(ABC):
    """An index that holds its vectors itself.

    Args:
        dimension: Numbers in a vector.
        about: A JSON object that is kept with the index.
    """

    kind: str
    """What `index.json` calls it."""

    exhaustive = True
    """Whether `_find` finds the best, up to rounding."""

    def __init__(self, dimension: int, *, about: dict[str, Any] | None = None) -> None:
        self._stored = StoredVectors(check_dimension(dimension))
        self._about = json_copy({} if about is None else about, "about")
        self._saved: _Saved | None = None

    @property
    def dimension(self) -> int:
        """Numbers in a vector."""
        return self._stored.dimension

    @property
    def about(self) -> dict[str, Any]:
        """What was said of the index when it was made; a copy."""
        return dict(json_copy(self._about, "about"))

    def __len__(self) -> int:
        return len(self._stored)

    def add(self, ids: Sequence[Id], vectors: ArrayLike, payloads: Sequence[Payload | None] | None = None) -> None:
        """Adds objects: see `quaterion_models.search.VectorIndex.add`."""
        names, units = new_ids(ids), unit_vectors(vectors, self.dimension)
        lines = object_lines(names, payloads, len(units))
        refuse_held([one for one, held in zip(names, self._stored.held(names), strict=True) if held])
        self._stored.append(names, units, lines)

    def contains(self, ids: Sequence[Id]) -> list[bool]:
        """Tells for each id whether the index holds it."""
        return self._stored.held(checked_ids(ids))

    def payloads(self, ids: Sequence[Id]) -> list[Payload | None]:
        """Reads what is kept with objects: see `quaterion_models.search.VectorIndex.payloads`."""
        return self._stored.payloads(checked_ids(ids))

    def delete(self, ids: Sequence[Id]) -> int:
        """Removes objects: see `quaterion_models.search.VectorIndex.delete`."""
        return self._stored.delete(checked_ids(ids))

    def search(self, vectors: ArrayLike, k: int = 10, filter: Filter | None = None) -> list[list[Hit]]:  # noqa: A002
        """Finds the most similar objects: see `quaterion_models.search.VectorIndex.search`."""
        check_k(k)
        queries, conditions = unit_vectors(vectors, self.dimension), parse_filter(filter)
        if not len(self):
            return [[] for _ in queries]
        allowed = self._stored.allowed(conditions)
        total = len(self) if allowed is None else int(allowed.sum())
        if not total:
            return [[] for _ in queries]

        def find(some: NDArray[np.float32], count: int) -> Nearest:
            return self._find(some, count, allowed)

        found = best_first(self._stored, queries, min(k, total), total, find, exact=self.exhaustive)
        return [
            [self._hit(row, score) for row, score in zip(*one, strict=True) if row >= 0]
            for one in zip(found.rows.tolist(), found.scores.tolist(), strict=True)
        ]

    def save(self, folder: str | os.PathLike[str]) -> None:
        """Writes the index to a folder; killed at any time, it leaves what was saved before.

        Only what is new since the last save to this folder, or since it was loaded from there, is written. An index
        that is there already is replaced.

        Args:
            folder: The folder; made where it is not there.

        Raises:
            IndexFolderError: If it holds files but no index, another process is writing to it, or the index there was
                changed since this one was loaded from it.
        """
        target = Path(folder).resolve()
        with files.only_writer(target):
            saved = self._saved_in(target)
            if len(self) * 2 < self._stored.rows:  # mostly deleted
                self._stored, saved = self._stored.compacted(), {}
            content = {
                "format_version": files.FORMAT_VERSION,
                "kind": self.kind,
                "dimension": self.dimension,
                "about": self._about,
                "segments": self._written_segments(target, saved),
                "deleted": self._written_deleted(target),
                **self._written(target, saved),
            }
            entries = [content["deleted"], content.get("ann")]
            entries += [segment[kind] for segment in content["segments"] for kind in ("vectors", "objects")]
            files.replace_index(target, content, {entry["name"] for entry in entries if entry is not None})
            self._saved = _Saved(target, content, self._stored)

    @classmethod
    def load(cls, folder: str | os.PathLike[str]) -> Self:
        """Reads a saved index. Its vectors stay in the files, mapped into memory.

        Args:
            folder: The folder.

        Returns:
            The index.

        Raises:
            IndexFolderError: If there is no index of this kind, or it is damaged.
        """
        path = Path(folder).resolve()
        content = files.read_index(path)
        for _ in range(_MOST_TRIES):
            try:
                return cls._loaded(path, content)
            except FileNotFoundError as error:  # a save replaced them meanwhile, or they are gone
                if (now := files.read_index(path)) == content:
                    raise files.IndexFolderError(f"{error.filename} is missing. Make the index again") from error
                content = now
        raise files.IndexFolderError(f"{path} changes all the time: it cannot be read while others save so often")

    @abstractmethod
    def _find(self, queries: NDArray[np.float32], count: int, allowed: NDArray[np.bool_] | None) -> Nearest:
        """Finds candidates `[Q, count]`, in any order, among the rows that are allowed (None for all)."""

    def _written(self, folder: Path, saved: dict[str, Any]) -> dict[str, Any]:  # noqa: ARG002
        """Writes what the kind keeps beside the objects; returns fields of `index.json`, of which `"ann"` names it."""
        return {}

    @classmethod
    def _made(cls, content: dict[str, Any], folder: Path) -> Self:
        """Makes an empty index from what `index.json` says."""
        dimension = files.checked_field(content, "dimension", int, folder)
        return cls(dimension, about=files.checked_field(content, "about", dict, folder))

    @classmethod
    def _loaded(cls, folder: Path, content: dict[str, Any]) -> Self:
        if content.get("kind") != cls.kind:
            raise files.IndexFolderError(
                f"{folder} holds an index of kind {content.get('kind')!r:.50}, expected {cls.kind!r}. "
                "open_index opens every kind"
            )
        index = cls._made(content, folder)
        segments = [
            _segment(folder, one, index.dimension) for one in files.checked_field(content, "segments", list, folder)
        ]
        rows = sum(len(segment.vectors) for segment in segments)
        live = None
        if content.get("deleted") is not None:
            live = ~files.mapped(files.existing(folder, content["deleted"], "deleted"), (rows,), _LIVE)
        index._stored = StoredVectors(index.dimension, segments, live)  # noqa: SLF001
        index._saved = _Saved(folder, content, index._stored)  # noqa: SLF001
        return index

    def _saved_in(self, folder: Path) -> dict[str, Any]:
        """What `index.json` says of rows that need not be written again."""
        if self._saved is None or self._saved.folder != folder or not (folder / files.INDEX).exists():
            return {}
        if files.read_index(folder) != self._saved.content:
            raise files.IndexFolderError(
                f"{folder} was changed since this index was loaded from it or saved to it. Load it and add to that"
            )
        return self._saved.content if self._saved.stored is self._stored else {}

    def _written_segments(self, folder: Path, saved: dict[str, Any]) -> list[dict[str, Any]]:
        kept = list(saved.get("segments", []))
        first = sum(segment["rows"] for segment in kept)
        if first == self._stored.rows:
            return kept
        # Small segments grow together, so that many small saves make few files.
        while kept and kept[-1]["rows"] <= min(new := self._stored.rows - first, _SMALL_SEGMENT - new):
            first -= kept.pop()["rows"]
        shape = (self._stored.rows - first, self.dimension)
        vectors, objects = files.new_name("vectors", ".npy"), files.new_name("objects", ".jsonl")
        blocks = (block for _, block in self._stored.blocks(_BLOCK_ROWS, first))
        written = files.write_file(folder / vectors, files.npy_pieces(shape, _VECTOR, blocks))
        lines = files.write_file(folder / objects, (line + b"\n" for line in self._stored.lines(first)))
        added = {
            "rows": shape[0],
            "vectors": {"name": vectors, "digest": written},
            "objects": {"name": objects, "digest": lines},
        }
        return [*kept, added]

    def _written_deleted(self, folder: Path) -> dict[str, Any] | None:
        if len(self) == self._stored.rows:
            return None
        name = files.new_name("deleted", ".npy")
        deleted = ~self._stored.live()
        return {
            "name": name,
            "digest": files.write_file(folder / name, files.npy_pieces(deleted.shape, _LIVE, [deleted])),
        }

    def _hit(self, row: int, score: float) -> Hit:
        one, payload = self._stored.object_at(row)
        return Hit(one, score, payload)


def _segment(folder: Path, entry: Any, dimension: int) -> Segment:
    if not isinstance(entry, dict):
        raise files.IndexFolderError(f"{folder / files.INDEX}: a segment must be an object, it is {entry!r:.100}")
    rows = files.checked_field(entry, "rows", int, folder)
    vectors = files.mapped(files.existing(folder, entry.get("vectors"), "vectors"), (rows, dimension), _VECTOR)
    return Segment(vectors, MappedLines(files.existing(folder, entry.get("objects"), "objects"), rows))
