"""A model whose frozen encoders run once over a data set; what then embeds its objects is the head alone."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from quaterion.cache.config import CacheConfig
from quaterion.cache.embedding_store import EmbeddingStore
from quaterion.cache.prepare import BatchSource, Progress
from quaterion.dataset import GroupSimilarityDataLoader, PairsSimilarityDataLoader, SimilarityPairSample
from quaterion_models import SimilarityModel
from quaterion_models.collate import prepared
from quaterion_models.encode.eval_mode import eval_mode
from quaterion_models.heads import EmptyHead
from quaterion_models.heads.encoder_head import EncoderHead

__all__ = ["EmbeddedModel", "embedded_model", "without_head"]


def without_head(model: SimilarityModel) -> SimilarityModel:
    """The model's encoders alone: what it gave before its head was trained.

    Args:
        model: The model.
    """
    return SimilarityModel(model.encoders, EmptyHead(model.get_encoders_output_size(model.encoders))).eval()


def embedded_model(
    model: SimilarityModel,
    samples: Any,
    *,
    cache: Path | None = None,
    stores: dict[str, EmbeddingStore] | None = None,
    progress: Progress | None = None,
) -> "SimilarityModel | EmbeddedModel":
    """Encodes all objects of a data set.

    Args:
        model: The model.
        samples: Map-style data set of `SimilarityGroupSample` or `SimilarityPairSample`, one at least.
        cache: Folder to take vectors from and to keep them in; None to keep them in memory.
        stores: Vectors of earlier calls, used again where an encoder is the same; those of this call are added.
        progress: Opens progress bars; None for none.

    Returns:
        What embeds the samples' objects without running an encoder; the model itself where an encoder was trained.

    Example:
        >>> from quaterion.dataset import SimilarityGroupSample
        >>> from quaterion_models.encoders import Encoder
        >>> class Lengths(Encoder):
        ...     trainable = False
        ...     embedding_size = 1
        ...     def fingerprint(self):
        ...         return "lengths"
        ...     def get_collate_fn(self):
        ...         return lambda texts: torch.tensor([[float(len(text))] for text in texts])
        ...     def forward(self, batch):
        ...         print("encodes", len(batch))
        ...         return batch
        >>> model = SimilarityModel(Lengths(), EmptyHead(1))
        >>> embedded = embedded_model(model, [SimilarityGroupSample("one", 1), SimilarityGroupSample("three", 1)])
        encodes 2
        >>> embedded.encode(["three", "one"])
        array([[5.],
               [3.]], dtype=float32)
    """
    if any(encoder.trainable for encoder in model.encoders.values()):
        return model
    kind: Any = PairsSimilarityDataLoader if isinstance(samples[0], SimilarityPairSample) else GroupSimilarityDataLoader
    loader = kind(samples, batch_size=32)
    stores = {} if stores is None else stores
    source = BatchSource(model, CacheConfig(save_dir=cache), model.device, stores=stores)
    if progress is not None:
        source.progress = progress
    reading = source.read(loader)
    if reading is None:
        return model
    for key in model.encoders:
        source.place(key, loader, reading)
    return EmbeddedModel(model, {key: source.stores[key] for key in model.encoders})


class EmbeddedModel:
    """A model whose encoders' vectors are known; only its head runs.

    Args:
        model: The model.
        stores: Vectors of all objects, by encoder.

    Attributes:
        model: The model.
        two_sided: Whether queries and documents are embedded differently.
    """

    def __init__(self, model: SimilarityModel, stores: dict[str, EmbeddingStore]) -> None:
        self.model = model
        self.two_sided = model.two_sided
        self._stores = stores
        self._collate = model.get_collate_fn()

    @property
    def head(self) -> EncoderHead | None:
        """The model's head."""
        return self.model.head

    def encode(self, inputs: Sequence[Any], batch_size: int = 32, to_numpy: bool = True) -> Any:
        """Embeddings `[n, D]`; of a two-sided model those of queries, as `SimilarityModel.encode` gives.

        Args:
            inputs: Objects of the samples.
            batch_size: Objects at a time.
            to_numpy: Whether to give an array.
        """
        return self._embed(inputs, batch_size, to_numpy, "query")

    def encode_query(self, inputs: Sequence[Any], batch_size: int = 32, to_numpy: bool = True) -> Any:
        """Embeddings `[n, D]` of queries.

        Args:
            inputs: Objects of the samples.
            batch_size: Objects at a time.
            to_numpy: Whether to give an array.
        """
        return self._embed(inputs, batch_size, to_numpy, "query")

    def encode_document(self, inputs: Sequence[Any], batch_size: int = 32, to_numpy: bool = True) -> Any:
        """Embeddings `[n, D]` of documents.

        Args:
            inputs: Objects of the samples.
            batch_size: Objects at a time.
            to_numpy: Whether to give an array.
        """
        return self._embed(inputs, batch_size, to_numpy, "document")

    @torch.no_grad()
    def _embed(self, inputs: Sequence[Any], batch_size: int, to_numpy: bool, side: str) -> Any:
        parts = []
        with eval_mode(self.model):  # right after a training its dropout is on
            for start in range(0, len(inputs), batch_size):
                objects = inputs[start : start + batch_size]
                sides = [side] * len(objects) if self.two_sided else None
                vectors = {key: self._vectors(key, objects, sides) for key in self._stores}
                parts.append(self.model.embed(vectors, self._collate.meta(objects, sides)).float().cpu())
        embeddings = torch.cat(parts)
        return embeddings.numpy() if to_numpy else embeddings

    def _vectors(self, key: str, objects: Sequence[Any], sides: list[str] | None) -> Tensor:
        encoder = self.model.encoders[key]
        objects = prepared(objects, sides, self._collate.side_fns.get(key))
        keys = np.frombuffer(b"".join(map(encoder.cache_key, objects)), dtype=np.uint8).reshape(-1, 16)
        return self._stores[key].vectors_of(keys).to(self.model.device, torch.float32)
