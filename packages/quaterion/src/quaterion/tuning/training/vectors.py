"""Samples whose objects were encoded: the batches that heads learn from, and their embeddings by any head."""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from quaterion.batch import Batch
from quaterion.cache.batches import CachedBatches
from quaterion.cache.config import CacheConfig
from quaterion.cache.embedding_store import EmbeddingStore
from quaterion.cache.placed_vectors import PlacedVectors
from quaterion.cache.prepare import BatchSource, Progress
from quaterion.dataset import GroupSimilarityDataLoader, PairsSimilarityDataLoader, SimilarityPairSample
from quaterion.dataset.drawing import IndexBatches
from quaterion.dataset.labels import LabelIndex
from quaterion.dataset.target_table import GroupTable, PairTable, TargetTable
from quaterion_models import SimilarityModel
from quaterion_models.encoders import Encoder
from quaterion_models.encoders.text_collate import TextCollate
from quaterion_models.heads import EmptyHead, EncoderHead, SwitchHead
from quaterion_models.heads.switch_head import DOCUMENT, QUERY

__all__ = ["EncodedSamples", "SampleVectors"]

ROWS = 4096
"""Samples that are embedded at a time."""


class SampleVectors:
    """Encodes samples, each distinct object once, and keeps the vectors for every later part of the same data.

    Args:
        encoders: Frozen encoders by name.
        cache: Folder that keeps vectors between runs; None for memory.
        device: Where encoders run and heads learn.
        progress: Opens progress bars; None for none.

    Raises:
        ValueError: An encoder is not frozen.
    """

    def __init__(
        self, encoders: Mapping[str, Encoder], *, cache: Path | None, device: torch.device, progress: Progress | None
    ) -> None:
        trainable = [name for name, encoder in encoders.items() if encoder.trainable]
        if trainable:
            raise ValueError(
                f"The encoder {trainable[0]!r} is trainable, and the search trains heads over vectors that are encoded "
                "once. Give a frozen encoder (trainable=False), or train with TrainableModel and Quaterion.fit."
            )
        self.encoders = dict(encoders)
        self.device, self.progress = device, progress
        self.size = SimilarityModel.get_encoders_output_size(self.encoders)
        self._stores: dict[str, EmbeddingStore] = {}
        sides: dict[str, EncoderHead] = {QUERY: EmptyHead(self.size), DOCUMENT: EmptyHead(self.size)}
        self._sources = {}
        for two_sided, head in ((False, EmptyHead(self.size)), (True, SwitchHead(sides, self.size))):
            model = SimilarityModel(self.encoders, head).eval()
            source = BatchSource(model, CacheConfig(save_dir=cache), device, stores=self._stores)
            if progress is not None:
                source.progress = progress
            self._sources[two_sided] = source

    @property
    def takes_texts(self) -> bool:
        """Whether every encoder is known to take texts."""
        return all(isinstance(encoder.get_collate_fn(), TextCollate) for encoder in self.encoders.values())

    def encode(self, samples: Sequence[Any], *, two_sided: bool = False) -> "EncodedSamples":
        """Encodes what is not encoded yet.

        Args:
            samples: Samples of groups, or of pairs.
            two_sided: Whether heads for the two sides will look at them.
        """
        source, loader = self._sources[two_sided], _loader(samples, ROWS, shuffle=False)
        reading = source.read(loader)
        assert reading is not None  # noqa: S101 - every encoder is cached
        placed = {name: source.place(name, loader, reading) for name in self.encoders}
        identity = [self._stores[name].fingerprint.encode() + reading.keys[name].tobytes() for name in self.encoders]
        return EncodedSamples(
            samples, reading.table, placed, reading.metas, reading.label_names, self.device, identity=identity
        )

    @property
    def stores(self) -> dict[str, EmbeddingStore]:
        """Vectors by encoder."""
        return self._stores


class EncodedSamples:
    """Samples and the vectors of their objects.

    Args:
        samples: The samples.
        table: Their targets.
        placed: Vectors of their objects by encoder.
        metas: What heads route by.
        label_names: The label behind each group id.
        device: Where the vectors are wanted.
        identity: What tells encoders and objects, for `digest`.
    """

    def __init__(
        self,
        samples: Sequence[Any],
        table: TargetTable,
        placed: Mapping[str, PlacedVectors],
        metas: Any,
        label_names: Mapping[int, Any],
        device: torch.device,
        *,
        identity: Sequence[bytes],
    ) -> None:
        self.samples = samples
        self.table = table
        self.label_names = dict(label_names)
        self._placed, self._metas, self._device, self._identity = placed, metas, device, identity

    def __len__(self) -> int:
        return len(self.samples)

    @property
    def groups(self) -> Tensor:
        """Group ids `[N]` of group samples."""
        assert isinstance(self.table, GroupTable)  # noqa: S101 - asked for by those who know the form
        return self.table.groups

    def digest(self) -> str:
        """A digest of encoders, objects and targets."""
        whole = hashlib.blake2b(digest_size=8)
        for part in (*self._identity, *(tensor.numpy().tobytes() for tensor in _tensors_of(self.table))):
            whole.update(len(part).to_bytes(8, "little") + part)
        return whole.hexdigest()

    def label_index(self) -> LabelIndex:
        """Numbers the labels as training does."""
        ids = torch.unique(self.groups)
        index = LabelIndex(len(ids))
        index.learn(ids, self.label_names)
        return index

    def batches(self, batch_size: int, *, shuffle: bool = True, groups: Tensor | None = None) -> CachedBatches:
        """Batches in the order, and from the random numbers, of a loader.

        Args:
            batch_size: Samples in a batch.
            shuffle: Whether each pass draws another order.
            groups: Groups `[N]` to give in place of the ids.
        """
        loader = _loader(self.samples, batch_size, shuffle=shuffle)
        table = self.table if groups is None else GroupTable(groups)
        return CachedBatches(IndexBatches(loader, length=len(self.samples)), table, self._placed, self._metas)

    @torch.no_grad()
    def embed(self, head: EncoderHead) -> list[Tensor]:
        """Embeds all objects.

        Args:
            head: The head; it is put into eval mode.

        Returns:
            Of groups `[N, D]`; of pairs the anchors `[N, D]`, their partners `[N, D]`, and the negatives `[M, D]`.
        """
        head.eval()
        parts: list[list[Tensor]] = [[], [], []]
        for batch in self.batches(ROWS, shuffle=False):
            embeddings = head(joined(batch, self._device), batch.features.meta).float()
            count = len(embeddings) if isinstance(self.table, GroupTable) else len(batch.targets.scores)  # type: ignore[union-attr]
            for part, piece in zip(parts, embeddings.split_with_sizes(_sizes(len(embeddings), count)), strict=False):
                part.append(piece)
        return [torch.cat(part) for part in parts if part]


def joined(batch: Batch, device: torch.device) -> Tensor:
    """Vectors of all encoders side by side, `[B, D]`.

    Args:
        batch: A batch of cached vectors.
        device: Where they are wanted.
    """
    vectors = list(batch.features.cached.values())
    return (vectors[0] if len(vectors) == 1 else torch.cat(vectors, dim=1)).to(device)


def _tensors_of(table: TargetTable) -> Sequence[Tensor]:
    if isinstance(table, GroupTable):
        return [table.groups]
    assert isinstance(table, PairTable)  # noqa: S101 - there are these two
    return [table.offsets, table.scores, table.subgroups, table.ids]


def _sizes(rows: int, count: int) -> list[int]:
    if rows == count:
        return [rows]
    return [count, count, rows - 2 * count]


def _loader(samples: Sequence[Any], batch_size: int, *, shuffle: bool) -> Any:
    pairs = isinstance(samples[0], SimilarityPairSample)
    kind: Any = PairsSimilarityDataLoader if pairs else GroupSimilarityDataLoader
    return kind(samples, batch_size=batch_size, shuffle=shuffle)
