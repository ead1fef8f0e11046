"""Search: vectors by id with what belongs to them, in memory, in a folder, or in Qdrant. Needs numpy, not torch."""

from quaterion_models.search.exact_index import ExactIndex
from quaterion_models.search.faiss_index import FaissIndex
from quaterion_models.search.files import IndexFolderError
from quaterion_models.search.open_index import open_index
from quaterion_models.search.qdrant_index import QdrantIndex
from quaterion_models.search.vector_index import Filter, Hit, Id, Payload, VectorIndex

__all__ = [
    "ExactIndex",
    "FaissIndex",
    "Filter",
    "Hit",
    "Id",
    "IndexFolderError",
    "Payload",
    "QdrantIndex",
    "VectorIndex",
    "open_index",
]
