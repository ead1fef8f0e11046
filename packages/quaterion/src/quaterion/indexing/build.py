"""From a corpus to an index that holds every object of it once, however often the work is cut off."""

import time
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any, NamedTuple, TypeVar

from quaterion.indexing.corpus import Corpus, Item
from quaterion.indexing.destination import Destination
from quaterion.indexing.model_digest import FINGERPRINT, check_model, model_digest
from quaterion_models import SimilarityModel
from quaterion_models.search import QdrantIndex, VectorIndex

__all__ = ["Counts", "build_index"]

T = TypeVar("T")
_BATCHES = 16  # in a chunk: objects of like length share a batch, and a slow model is not long without a save
_COLUMNS = "columns"
_REBUILT_OF = "rebuilt_of"
_SAVING_SHARE = 0.1


class Counts(NamedTuple):
    """What was done.

    Attributes:
        encoded: Objects that were encoded and added.
        changed: How many of them took the place of an object with their id and other content.
        present: Objects of the corpus that the index held already.
        size: Objects that the index holds now.
    """

    encoded: int
    changed: int
    present: int
    size: int


def build_index(
    model: SimilarityModel,
    corpus: Corpus,
    destination: Destination,
    *,
    name: str = "",
    rebuild: bool = False,
    batch_size: int = 32,
    save_every: float = 30.0,
    progress: Callable[[int], object] | None = None,
) -> Counts:
    """Adds to an index what it does not hold yet of a corpus; makes the index where there is none.

    Killed at any time, it leaves an index that is whole, and run again, it goes on with what is missing. Objects of the
    index that the corpus does not have stay.

    Args:
        model: The model; of one with two sides, that of documents encodes.
        corpus: The objects.
        destination: Where the index lies, or shall lie.
        name: What the model is called, which is kept for messages.
        rebuild: Make the index anew, of this corpus alone. The one that is there stays until the new one is complete.
        batch_size: Objects in a batch of the model.
        save_every: Seconds between two saves; more where saving takes more than a tenth of the time.
        progress: Is told how many more objects have been dealt with.

    Returns:
        What was done.

    Raises:
        ValueError: If the index belongs to another model, or was made with other columns or options.
        IndexFolderError: If the folder holds something else, or the index is damaged.
        ConnectionError: If no server answers.

    Example:
        >>> import tempfile
        >>> from quaterion.indexing import read_corpus
        >>> from quaterion_models.encoders import VectorEncoder
        >>> from quaterion_models.heads import EmptyHead
        >>> model = SimilarityModel(VectorEncoder(2), EmptyHead(2))
        >>> corpus = read_corpus([{"text": [1.0, 0.0], "id": 1}, {"text": [0.0, 1.0], "id": 2}], id="id")
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     first = build_index(model, corpus, Destination(folder))
        ...     first, build_index(model, corpus, Destination(folder))
        (Counts(encoded=2, changed=0, present=0, size=2), Counts(encoded=0, changed=0, present=2, size=2))
    """
    about: dict[str, Any] = {"model": name, FINGERPRINT: model_digest(model), _COLUMNS: corpus.columns.as_json()}
    place = destination.beside() if rebuild else destination
    if rebuild:
        # Part of one that was interrupted serves only where the objects are the same.
        about[_REBUILT_OF] = corpus.digest()
        destination.check_replaceable()
        index = _begun(place, about)
    else:
        index = place.open()
    try:
        if index is None:
            index = place.create(model.output_size, about)
        else:
            check_model(index, model, place.location)
            _check_columns(index, about, place.location)
        counts = _fill(index, model, corpus, place.location, batch_size, save_every, progress or _nothing)
        if rebuild:
            destination.put(index)
    finally:
        if isinstance(index, QdrantIndex):
            index.close()
    return counts


def _begun(place: Destination, about: dict[str, Any]) -> VectorIndex | None:
    """An index that an interrupted rebuild has left, if this one can go on with it."""
    index = place.open_any()
    if index is None or (index.about == about and place.made_otherwise() is None):
        return index
    if isinstance(index, QdrantIndex):
        index.close()
    if _REBUILT_OF not in index.about:
        raise ValueError(
            f"{place.shown} is in the way: a rebuild would be made there, and it holds an index that none has left. "
            "Give it another name first."
        )
    place.remove()
    return None


def _check_columns(index: VectorIndex, about: dict[str, Any], where: str) -> None:
    known = index.about.get(_COLUMNS)
    if known != about[_COLUMNS]:
        raise ValueError(
            f"{where} was made with other columns: {_shown(known)}, and not {_shown(about[_COLUMNS])}. Give the same "
            "ones, or make the index again with rebuild=True (--rebuild)."
        )


def _shown(columns: Any) -> str:
    if not isinstance(columns, dict):
        return "unknown ones, by another program"
    return ", ".join(f"{name} {value}" for name, value in columns.items() if value not in (None, []))


def _fill(
    index: VectorIndex,
    model: SimilarityModel,
    corpus: Corpus,
    location: str,
    batch_size: int,
    save_every: float,
    progress: Callable[[int], object],
) -> Counts:
    encoded = changed = 0
    size = _BATCHES * batch_size
    saved, wait = time.monotonic(), save_every
    for chunk in _chunks(_missing(index, corpus, size, progress), size):
        vectors = model.encode_document([item.obj for item, _ in chunk], batch_size)
        replaced = [item.id for item, held in chunk if held]
        index.delete(replaced)
        index.add([item.id for item, _ in chunk], vectors, [item.payload for item, _ in chunk])
        encoded, changed = encoded + len(chunk), changed + len(replaced)
        progress(len(chunk))
        if (begun := time.monotonic()) - saved >= wait:
            index.save(location)
            saved = time.monotonic()
            wait = max(save_every, (saved - begun) / _SAVING_SHARE)
    if encoded:
        index.save(location)
    return Counts(encoded, changed, len(corpus) - encoded, len(index))


def _missing(
    index: VectorIndex, corpus: Corpus, size: int, progress: Callable[[int], object]
) -> Iterator[tuple[Item, bool]]:
    """Objects that the index does not hold, or holds with another payload; and whether it holds their id."""
    for chunk in _chunks(corpus, size):
        there = index.payloads([item.id for item in chunk])
        missing = [(item, held is not None) for item, held in zip(chunk, there, strict=True) if held != item.payload]
        progress(len(chunk) - len(missing))
        yield from missing


def _chunks(items: Iterable[T], size: int) -> Iterator[list[T]]:
    iterator = iter(items)
    while chunk := list(islice(iterator, size)):
        yield chunk


def _nothing(_count: int) -> None:
    pass
