"""From a loader and a configuration to batches: read the data set, fill the stores, place the vectors."""

import hashlib
import logging
import math
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import IterableDataset

from quaterion.batch import Batch
from quaterion.cache.batches import CachedBatches, RawBatches
from quaterion.cache.cached_encoders import cached_encoders, object_reading
from quaterion.cache.config import CacheConfig, CacheType
from quaterion.cache.embedding_store import EmbeddingStore
from quaterion.cache.exact_lengths import counts_lengths
from quaterion.cache.fill import CPU_BATCH_SIZE, Filling, differing
from quaterion.cache.placed_states import PlacedStates
from quaterion.cache.placed_vectors import PlacedVectors
from quaterion.cache.placement import Placement, choose_placement
from quaterion.cache.reading_index import ReadingIndex, data_fingerprint
from quaterion.cache.shared_fill import filled
from quaterion.dataset.drawing import IndexBatches
from quaterion.dataset.object_reading import ObjectReading
from quaterion.dataset.rank_slices import RankBatches, RankSlices, SlicedStream
from quaterion.dataset.raw_collate import KeyedBatch, RawCollate, has_own_collate
from quaterion.dataset.reading import SampleReading, differing_sample, read_data_set
from quaterion.dataset.similarity_data_loader import SimilarityDataLoader
from quaterion.dataset.target_table import PairTable
from quaterion.utils.ranks import Ranks
from quaterion_models import SimilarityModel
from quaterion_models.batch_to import to_device
from quaterion_models.collate import ModelCollate
from quaterion_models.content_key import content_key
from quaterion_models.encode import eval_mode
from quaterion_models.encoders import FieldEncoder
from quaterion_models.encoders.token_states import RaggedStates
from quaterion_models.fingerprint import digest_of

__all__ = ["BatchSource"]

logger = logging.getLogger(__name__)

TARGET_SECONDS = 10.0
"""How long targets are read where nothing is cached."""

AUTOCAST = {"32-true": None, "bf16-mixed": torch.bfloat16, "16-mixed": torch.float16}

Progress = Callable[[str, int], AbstractContextManager[Callable[[int], object]]]
"""Opens a progress bar from a description and a total, as a context manager that gives `advance(count)`."""


@contextmanager
def _silent(description: str, total: int) -> Iterator[Callable[[int], object]]:  # noqa: ARG001
    yield lambda _: None


@dataclass
class BatchSource:
    """Reads data sets for one model and gives their batches, from caches where they are configured.

    Args:
        model: The model.
        config: What to cache, and where; None caches nothing.
        device: Where encoders run and the model trains.
        stores: Stores of this model by encoder, kept between trainings; new ones are added.
        progress: Opens progress bars.
        ranks: The processes that train together: all of them read the data sets, share the encoding, and give their
            slices of global batches. Loaders passed to the methods are `widened` to draw those.

    Raises:
        ValueError: The configuration names an unknown or a trainable encoder, or there is no frozen one.
    """

    model: SimilarityModel
    config: CacheConfig | None
    device: torch.device
    stores: dict[str, EmbeddingStore] = field(default_factory=dict)
    progress: Progress = _silent
    needs_all_targets: bool = False
    """Targets are needed of all samples, however long it takes to read them."""
    tell: Callable[[str], object] = logger.info
    """Tells the user where vectors lie."""
    ranks: Ranks = field(default_factory=Ranks)
    _fingerprints: dict[str, str] = field(default_factory=dict)
    """Of the cached encoders, worked out once for each reading."""

    def __post_init__(self) -> None:
        self.cached = {} if self.config is None else cached_encoders(self.model, self.config)

    def read(self, loader: SimilarityDataLoader[Any]) -> SampleReading | None:
        """Reads targets, and what the caches need, of a loader's data set.

        Without a cache only targets are wanted, for checks before the first step. Then the reading ends after some
        seconds, since opening every image, say, could take as long as training on it, and an iterable data set,
        which may be a stream, is not read at all.

        Args:
            loader: The user's loader, which stays as it is.

        Returns:
            The reading; None where there is none.
        """
        self._fingerprints.clear()
        everything = bool(self.cached) or self.needs_all_targets
        own_collate = has_own_collate(type(loader), loader.collate_fn)
        if self.cached and not own_collate:
            raise ValueError(
                f"The {type(loader).__name__} has a collate function of its own, which training from a cache does not "
                "run: it draws whole batches of cached vectors. Do in the data set what it does, or set "
                "CacheConfig(cache_type=CacheType.NONE)."
            )
        if not own_collate or (not everything and isinstance(loader.dataset, IterableDataset)):
            return None
        for key in self.cached:
            self._placement(key, size=0)
            self._store(key)  # a folder that cannot be used shows itself before anything is read
        index = self._reading_index(loader)
        if index is not None and (found := index.load()) is not None:
            return found
        reading = self._read(loader, max_seconds=math.inf if everything else TARGET_SECONDS)
        if index is not None:
            index.save(reading)
        return reading

    def _read(self, loader: SimilarityDataLoader[Any], *, max_seconds: float) -> SampleReading:
        readings = {key: self._object_reading(key) for key in self.cached}
        views = self._config.views if self.cached else 1
        if views == 1 and readings and (place := differing_sample(loader, readings)) is not None:
            raise ValueError(differing(f"Sample {place}"))
        running = [key for key in self.model.encoders if key not in self.cached]
        if views > 1 and running:
            raise ValueError(
                f"CacheConfig(views={views}) gives all encoders the same view of an object, so all must be cached, but "
                f"{running} run in every step. Cache them too, or set views=1."
            )
        return read_data_set(
            loader,
            readings,
            self._collate(running=()),
            two_sided=self.model.two_sided,
            max_seconds=max_seconds,
            views=views,
            max_objects=self._config.max_objects,
        )

    def _reading_index(self, loader: SimilarityDataLoader[Any]) -> ReadingIndex | None:
        fingerprint = data_fingerprint(loader.dataset) if self.cached and self._config.save_dir else None
        if fingerprint is None or isinstance(loader.dataset, IterableDataset):
            return None
        whole = self.model.get_collate_fn()
        functions: list[Callable[..., Any]] = [
            type(loader).collate_labels,
            type(loader).objects_of,
            *whole.extractors.values(),
            *whole.side_fns.values(),  # keys are those of prepared objects
        ]
        functions += [encoder.length for encoder in self.cached.values()]
        functions += [encoder.cache_key for encoder in self.cached.values()]
        functions += [extractor for key in self.cached if (extractor := self._config.key_extractor(key)) is not None]
        made_by = [digest_of(getattr(function, "__func__", function)) for function in functions]
        # Functions are methods of objects whose settings count too.
        made_by += [self.fingerprint(key) for key in self.cached]
        made_by += [digest_of(type(encoder)) for encoder in self.model.encoders.values()]
        # Splits of one data set often share the class, and with it the fingerprint.
        data: Any = loader.dataset
        about = [type(loader).__qualname__, f"{type(data).__module__}.{type(data).__qualname__}", str(len(data))]
        about += [str(self.model.two_sided), str(self._config.views), *self.cached]
        return ReadingIndex(Path(self._config.save_dir or "") / "readings", [fingerprint, *about, *made_by])

    def batches(self, loader: SimilarityDataLoader[Any], reading: SampleReading | None) -> Iterable[Batch]:
        """Encodes what the stores lack and gives the loader's batches.

        Args:
            loader: The user's loader, which stays as it is.
            reading: The reading of its data set.

        Returns:
            An iterable of `Batch` with a length.

        Raises:
            ValueError: An encoder gives vectors that cannot be used.
            OSError: The folder of the cache cannot be written.
        """
        placed = {} if reading is None else {key: self._place(key, loader, reading) for key in self.cached}
        if reading is not None:
            reading.objects = None  # those of a stream were kept until they were encoded
        running = [key for key in self.model.encoders if key not in placed]
        if running or not self.cached or reading is None:
            collate: Callable[[list[Any]], KeyedBatch] = RawCollate(
                loader,
                self._collate(running),
                two_sided=self.model.two_sided,
                subgroups_used=_subgroups_used(reading),
                readings={key: self._object_reading(key) for key in placed},
            )
            if self.ranks.size == 1:
                return RawBatches(loader, collate, placed)
            if isinstance(loader.dataset, IterableDataset):
                return RawBatches(loader, SlicedStream(collate, self.ranks), placed, ranks=self.ranks)
            slices = RankSlices(loader.batch_sampler, self.ranks)
            return RankBatches(RawBatches(loader, collate, placed, batch_sampler=slices), slices)
        indices = IndexBatches(loader, length=len(reading.table), batch_sizes=reading.batch_sizes)
        if self.ranks.size == 1:
            return CachedBatches(indices, reading.table, placed, reading.metas, views=reading.views)
        slices = RankSlices(indices, self.ranks)
        return RankBatches(CachedBatches(slices, reading.table, placed, reading.metas, views=reading.views), slices)

    def place(self, key: str, loader: SimilarityDataLoader[Any], reading: SampleReading) -> PlacedVectors:
        """Encodes what a store lacks and places the data set's vectors.

        Args:
            key: An encoder that is cached as a whole.
            loader: The user's loader, which stays as it is.
            reading: The reading of its data set.

        Returns:
            Vectors of the data set's objects.
        """
        return PlacedVectors(*self._filled(key, loader, reading))

    def _place(
        self, key: str, loader: SimilarityDataLoader[Any], reading: SampleReading
    ) -> PlacedVectors | PlacedStates:
        filled = self._filled(key, loader, reading)
        return PlacedVectors(*filled) if self.cached[key].get_trunk() is None else PlacedStates(*filled)

    def _filled(
        self, key: str, loader: SimilarityDataLoader[Any], reading: SampleReading
    ) -> tuple[EmbeddingStore, NDArray[np.uint8], Placement]:
        self._fill(key, loader, reading)
        store, keys = self._store(key), reading.keys[key]
        views = keys.reshape(-1, reading.views, keys.shape[1])
        if reading.views > 1 and (views == views[:, :1]).all():
            logger.warning("views=%d, but all views of each object are equal: nothing transforms them.", reading.views)
        automatic, size = self._config.placement(key) is CacheType.AUTO, 0
        if automatic:
            rows = store.counts(np.unique(store.rows(keys)))
            size = int(rows.sum()) * store.dimension * store.dtype.itemsize
        placement = self._placement(key, size=size)
        if automatic:
            where = "on disk" if placement.on_disk else {"cpu": "in memory"}.get(placement.device.type, "on the GPU")
            self.tell(f"The cached vectors of encoder {key!r} lie {where}: {placement.reason}.")
        return store, keys, placement

    def _fill(self, key: str, loader: SimilarityDataLoader[Any], reading: SampleReading) -> None:
        """Encodes what a store lacks."""
        encoder, store = self.cached[key], self._store(key)
        size = self._config.batch_size
        filling = Filling(
            name=key,
            store=store,
            reading=reading,
            loader=loader,
            encode=lambda inputs: self._encode(key, inputs),
            collate=encoder.get_collate_fn(),
            objects=self._object_reading(key),
            batch_size=CPU_BATCH_SIZE if size == "auto" else size,
            num_workers=self._config.num_workers,
            count=encoder.lengths if counts_lengths(encoder) else None,
            writers=self.ranks.size,
        )
        # Each process has planned, from the same vectors, before any of them adds one.
        if any(self.ranks.gather(len(filling.plan()))):
            encoder.to(self.device)
            fitting = self._config.batch_size == "auto"
            self.stores[key] = filled(filling, self.ranks, self.device, progress=self.progress, fitting=fitting)

    @torch.no_grad()
    def _encode(self, key: str, inputs: Any) -> Tensor | RaggedStates:
        encoder, precision = self.cached[key], AUTOCAST[self._config.precision]
        on_device = to_device(inputs, self.device)
        trunk = encoder.get_trunk()
        with nullcontext() if precision is None else torch.autocast(self.device.type, precision), eval_mode(encoder):
            if trunk is not None:
                states = trunk(on_device)
                return RaggedStates(states.values.float().cpu(), states.counts.cpu())
            vectors = self.model.run_encoder(key, on_device)
            if any(module.training for module in encoder.modules()):  # made in this forward
                encoder.eval()
                vectors = self.model.run_encoder(key, on_device)
        return vectors.float().cpu()

    def check_encoders(self) -> None:
        """Refuses encoders that are no longer those whose vectors were read: a checkpoint may have brought others.

        Raises:
            ValueError: An encoder has changed since.
        """
        for key, used in self._fingerprints.items():
            if self._digest_of_encoder(key) != used:
                raise ValueError(
                    f"The checkpoint has other weights for the frozen encoder {key!r} than the model was built with, "
                    "and the cached vectors are of the latter. Build the model with the weights that the checkpoint "
                    "was trained on, or return None from configure_caches."
                )

    def _store(self, key: str) -> EmbeddingStore:
        config, trunk = self._config, self.cached[key].get_trunk()
        dimension = self.cached[key].embedding_size if trunk is None else trunk.width
        dtype = config.dtype if trunk is None else config.states_dtype
        fingerprint = self.fingerprint(key)
        folder = config.store_folder(fingerprint, tokens=trunk is not None)
        store = self.stores.get(key)
        if store is not None:
            found = (store.fingerprint, store.dtype_name, store.dimension)
            wanted = (fingerprint, dtype, dimension)
            # A store in memory, given by the user or left by an earlier training, is as good as the folder's.
            if found == wanted and store.folder in {None, folder}:
                return store
            if found != wanted and store.folder is None:
                logger.warning(
                    "The store in memory for encoder %r is not used: it holds %s vectors of size %d under the "
                    "fingerprint %.12s; expected %s of size %d under %.12s.",
                    key, store.dtype_name, store.dimension, store.fingerprint, dtype, dimension, fingerprint,
                )  # fmt: skip
        self.stores[key] = EmbeddingStore(
            fingerprint=fingerprint,
            dimension=dimension,
            encoder=type(self.cached[key]).__qualname__,
            dtype=dtype,
            folder=folder,
            kind="vector" if trunk is None else "token",
        )
        return self.stores[key]

    def fingerprint(self, key: str) -> str:
        """Digest of what the cached vectors of an encoder depend on.

        Args:
            key: A cached encoder.
        """
        if key not in self._fingerprints:
            self._fingerprints[key] = self._digest_of_encoder(key)
        return self._fingerprints[key]

    def _digest_of_encoder(self, key: str) -> str:
        """Digest of what a vector depends on: the encoder or its trunk, its precision, what identifies its objects."""
        extractor, encoder = self._config.key_extractor(key), self.cached[key]
        parts = [(encoder.get_trunk() or encoder).fingerprint()]
        if extractor is not None:
            parts.append(digest_of(extractor))
            # Such a key stands for a whole record, whatever of it is encoded.
            while isinstance(encoder, FieldEncoder):
                parts.append(content_key(encoder.field).hex())
                encoder = encoder.encoder
        if self._config.precision != "32-true":
            parts.append(self._config.precision)
        return parts[0] if len(parts) == 1 else hashlib.blake2b("".join(parts).encode(), digest_size=32).hexdigest()

    def _placement(self, key: str, *, size: int) -> Placement:
        config = self._config
        return choose_placement(
            config.placement(key),
            name=key,
            size=size,
            device=self.device,
            has_folder=config.save_dir is not None,
        )

    def _collate(self, running: Iterable[str]) -> ModelCollate:
        whole = self.model.get_collate_fn()
        return ModelCollate(
            {key: whole.collates[key] for key in running},
            whole.extractors,
            whole.side_fns,
            sides_in_meta=whole.sides_in_meta,
        )

    def _object_reading(self, key: str) -> ObjectReading:
        return object_reading(self.cached[key], self._config.key_extractor(key))

    @property
    def _config(self) -> CacheConfig:
        return self.config or CacheConfig()


def _subgroups_used(reading: SampleReading | None) -> bool | None:
    if reading is None or not reading.complete or not isinstance(reading.table, PairTable):
        return None
    return reading.table.subgroups_used
