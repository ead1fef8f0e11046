"""An index that is searched by faiss."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Self, final

import numpy as np
from numpy.typing import NDArray

from quaterion_models.extras import require
from quaterion_models.file_digest import file_digest
from quaterion_models.search import files
from quaterion_models.search.nearest import Nearest, joined, scan
from quaterion_models.search.stored_index import StoredIndex

_TRAINING_ROWS_EACH = 39  # with fewer for each cluster, faiss says that its clusters are poor
_MOST_TRAINING_ROWS = 2**18
_BLOCK_ROWS = 8192
_SCANNED_SHARE = 0.1


@final
class FaissIndex(StoredIndex):
    """Finds the most similar vectors with faiss; `pip install "quaterion-models[faiss]"`.

    The objects are kept as `quaterion_models.search.ExactIndex` keeps them, and what faiss finds is compared
    with the query once more, so scores are exact whatever faiss compresses. faiss gets new objects when they are a
    tenth of all: at a search, or when the index is saved. Fewer are compared one by one, and so are all as long as they
    are too few to train what the factory needs (39 for each of the lists of `"IVF1024,Flat"`).

    Args:
        dimension: Numbers in a vector.
        factory: What faiss builds, in the words of its `index_factory`: `"Flat"` compares with all vectors,
            `"HNSW32"` follows a graph, `"IVF1024,Flat"` looks into some of 1,024 lists; `"SQ8"`, `"IVF1024,PQ48"` and
            the like compress.
        effort: How thoroughly it searches where it does not compare with all: candidates of a graph (`efSearch`, at
            least as many as hits are wanted), or lists that are looked into (`nprobe`).
        about: A JSON object that is kept with the index, such as the fingerprint of the model.

    Raises:
        ImportError: If faiss is not installed.
        ValueError: If faiss cannot build that, or not search it among some of the objects.

    Example:
        >>> index = FaissIndex(2, factory="HNSW16")
        >>> index.add(["north", "east"], [[0.0, 1.0], [2.0, 0.0]])
        >>> index.search([[1.0, 1.5]], k=1)
        [[Hit(id='north', score=0.83..., payload={})]]
    """

    kind = "faiss"

    def __init__(
        self, dimension: int, factory: str = "Flat", *, effort: int = 64, about: dict[str, Any] | None = None
    ) -> None:
        super().__init__(dimension, about=about)
        if not isinstance(effort, int) or isinstance(effort, bool) or effort < 1:
            raise ValueError(f"effort must be an integer of 1 or more, got {effort!r}")
        self._factory, self._effort = factory, effort
        self._ann, self._ann_of = _built(self.dimension, factory), self._stored
        self.exhaustive = factory == "Flat"

    def _find(self, queries: NDArray[np.float32], count: int, allowed: NDArray[np.bool_] | None) -> Nearest:
        self._cover()
        covered = self._ann.ntotal
        # A graph that may go only through few of its points finds little; comparing with these few costs less.
        if not covered or (allowed is not None and allowed.sum() <= _SCANNED_SHARE * len(allowed)):
            return scan(self._stored, queries, count, allowed)
        scores, rows = self._ann.search(queries, count, params=self._parameters(count, allowed))
        found = Nearest(rows, np.where(rows < 0, -np.inf, scores).astype(np.float32))
        if covered == self._stored.rows:
            return found
        return joined(found, scan(self._stored, queries, count, allowed, first=covered))

    def _written(self, folder: Path, saved: dict[str, Any]) -> dict[str, Any]:
        entry = saved.get("ann")
        if not self.exhaustive:  # else building it again takes no longer than reading it
            self._cover()
            if (rows := self._ann.ntotal) != (0 if entry is None else entry["rows"]):
                path = folder / files.new_name("ann", ".faiss")
                require("faiss", extra="faiss").write_index(self._ann, str(path))
                files.sync(path)
                entry = {"name": path.name, "rows": rows, "digest": file_digest(path)}
        return {"factory": self._factory, "effort": self._effort, "ann": entry}

    @classmethod
    def _made(cls, content: dict[str, Any], folder: Path) -> Self:
        dimension = files.checked_field(content, "dimension", int, folder)
        factory = files.checked_field(content, "factory", str, folder)
        effort = files.checked_field(content, "effort", int, folder)
        return cls(dimension, factory, effort=effort, about=files.checked_field(content, "about", dict, folder))

    @classmethod
    def _loaded(cls, folder: Path, content: dict[str, Any]) -> Self:
        index = super()._loaded(folder, content)
        if content.get("ann") is not None:
            index._ann, index._ann_of = index._read(folder, content["ann"]), index._stored  # noqa: SLF001
        return index

    def _read(self, folder: Path, entry: Any) -> Any:
        path = files.existing(folder, entry, "ann")
        try:
            ann = require("faiss", extra="faiss").read_index(str(path))
        except RuntimeError as error:
            raise files.IndexFolderError(f"{path} cannot be read by faiss: {error!s:.200}") from error
        rows = files.checked_field(entry, "rows", int, folder)
        expected = type(self._ann), self.dimension, self._ann.metric_type, rows
        if (type(ann), ann.d, ann.metric_type, ann.ntotal) != expected or rows > self._stored.rows:
            raise files.IndexFolderError(f"{path} is not what {files.INDEX} says of it. Make the index again")
        return ann

    def _cover(self) -> None:
        """Gives faiss what it does not have yet, if that is much."""
        if self._ann_of is not self._stored:  # rows have other numbers than those that faiss knows
            self._ann, self._ann_of = _built(self.dimension, self._factory), self._stored
        first, rows = self._ann.ntotal, self._stored.rows
        if rows - first <= _SCANNED_SHARE * rows:
            return
        if not self._ann.is_trained:
            if rows < _TRAINING_ROWS_EACH * _clusters(self._ann):
                return
            some = np.linspace(0, rows - 1, min(rows, _MOST_TRAINING_ROWS)).astype(np.int64)
            self._ann.train(self._stored.take(some))
        for _, block in self._stored.blocks(_BLOCK_ROWS, first):
            self._ann.add(block)

    def _parameters(self, count: int, allowed: NDArray[np.bool_] | None) -> Any:
        faiss = require("faiss", extra="faiss")
        options: dict[str, Any] = {}
        if allowed is not None:
            options["sel"] = faiss.IDSelectorBitmap(np.packbits(allowed[: self._ann.ntotal], bitorder="little"))
        if isinstance(self._ann, faiss.IndexHNSW):
            return faiss.SearchParametersHNSW(efSearch=max(self._effort, count), **options)
        if isinstance(self._ann, faiss.IndexIVF):
            return faiss.SearchParametersIVF(nprobe=self._effort, **options)
        return faiss.SearchParameters(**options)


def _clusters(ann: Any) -> int:
    """How many clusters faiss looks for in a training."""
    return max(getattr(ann, "nlist", 1), ann.pq.ksub if hasattr(ann, "pq") else 1)


def _built(dimension: int, factory: str) -> Any:
    faiss = require("faiss", extra="faiss")
    try:
        ann = faiss.index_factory(dimension, factory, faiss.METRIC_INNER_PRODUCT)
    except (RuntimeError, TypeError) as error:
        raise ValueError(f"faiss cannot build {factory!r:.100} of dimension {dimension}: {error!s:.200}") from error
    if not isinstance(ann, faiss.IndexHNSW | faiss.IndexIVF | faiss.IndexFlat | faiss.IndexScalarQuantizer):
        raise ValueError(  # noqa: TRY004
            f"the factory {factory!r:.100} makes a {type(ann).__name__}, expected one that faiss searches among "
            "some of its vectors: Flat, HNSW32, SQ8, IVF1024,Flat and the like"
        )
    return ann
