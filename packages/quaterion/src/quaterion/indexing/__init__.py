"""Corpora in indexes: read from a file, embedded by a model, kept with what belongs to each object."""

from quaterion.indexing.build import Counts, build_index
from quaterion.indexing.corpus import Columns, Corpus, read_corpus
from quaterion.indexing.destination import Destination
from quaterion.indexing.model_digest import check_model, model_digest

__all__ = [
    "Columns",
    "Corpus",
    "Counts",
    "Destination",
    "build_index",
    "check_model",
    "model_digest",
    "read_corpus",
]
