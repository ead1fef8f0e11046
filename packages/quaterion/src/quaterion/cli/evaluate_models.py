"""Models that are evaluated, and their embeddings of a data set from vectors that each encoder gives once."""

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import typer
from torch import Tensor

from quaterion.cache.config import CacheConfig
from quaterion.cache.embedding_store import EmbeddingStore
from quaterion.cache.prepare import BatchSource
from quaterion.cli.cache_report import progress_bar
from quaterion.dataset import GroupSimilarityDataLoader, PairsSimilarityDataLoader
from quaterion.dataset.files import Samples
from quaterion_models import SimilarityModel
from quaterion_models.heads import EmptyHead
from quaterion_models.saving.new_folder import find_folder

__all__ = ["EmbeddedModel", "embedded_model", "load_model", "loading", "untrained"]


@contextlib.contextmanager
def loading() -> Iterator[None]:
    """Says on standard error that models are loaded, which takes some seconds."""
    typer.echo("Loading ...", err=True)
    yield


def load_model(name: str) -> SimilarityModel:
    """Loads a model.

    Args:
        name: A folder that `SimilarityModel.save` wrote, or a folder or name of a sentence-transformers model, which
            then stands without a head.

    Raises:
        ValueError: There is no such model, or it is damaged.
        ImportError: sentence-transformers is needed and not installed.
    """
    folder = find_folder(Path(name))
    if folder.exists() and not (folder / "modules.json").is_file():
        model = SimilarityModel.load(folder)
    else:
        from quaterion_models.encoders import SentenceTransformerEncoder

        try:
            encoder = SentenceTransformerEncoder(name)
            model = SimilarityModel(encoder, EmptyHead(encoder.embedding_size))
        except (ValueError, OSError) as error:
            if folder.exists():
                raise
            raise ValueError(
                f"Cannot load {name!r}, neither as a folder that SimilarityModel.save wrote nor as a "
                f"sentence-transformers model: {error}"
            ) from error
    model.to("cuda" if torch.cuda.is_available() else "cpu").eval()
    return model


def untrained(model: SimilarityModel) -> SimilarityModel:
    """The model's encoders without its head.

    Args:
        model: The model.
    """
    return SimilarityModel(model.encoders, EmptyHead(model.get_encoders_output_size(model.encoders))).eval()


def embedded_model(
    model: SimilarityModel, samples: Samples, cache: Path | None, stores: dict[str, EmbeddingStore] | None = None
) -> "SimilarityModel | EmbeddedModel":
    """Encodes all samples' objects, with a progress bar.

    Args:
        model: The model.
        samples: The samples.
        cache: Folder to take vectors from and to keep them in; None to keep them in memory.
        stores: Vectors of earlier calls, used again where an encoder is the same; those of this call are added.

    Returns:
        What embeds the samples' objects without running an encoder; the model itself where an encoder was trained.
    """
    if any(encoder.trainable for encoder in model.encoders.values()):
        return model
    kind: Any = GroupSimilarityDataLoader if samples.kind == "groups" else PairsSimilarityDataLoader
    loader = kind(samples, batch_size=32)
    source = BatchSource(
        model,
        CacheConfig(save_dir=cache),
        model.device,
        stores={} if stores is None else stores,
        progress=progress_bar,
    )
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
    """

    def __init__(self, model: SimilarityModel, stores: dict[str, EmbeddingStore]) -> None:
        self.two_sided = model.two_sided
        self._model, self._stores = model, stores
        self._meta = model.get_collate_fn().meta

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
        for start in range(0, len(inputs), batch_size):
            objects = inputs[start : start + batch_size]
            meta = self._meta(objects, [side] * len(objects) if self.two_sided else None)
            vectors = {key: self._vectors(key, objects) for key in self._stores}
            parts.append(self._model.embed(vectors, meta).float().cpu())
        embeddings = torch.cat(parts)
        return embeddings.numpy() if to_numpy else embeddings

    def _vectors(self, key: str, objects: Sequence[Any]) -> Tensor:
        encoder = self._model.encoders[key]
        keys = np.frombuffer(b"".join(map(encoder.cache_key, objects)), dtype=np.uint8).reshape(-1, 16)
        return self._stores[key].vectors_of(keys).to(self._model.device, torch.float32)
