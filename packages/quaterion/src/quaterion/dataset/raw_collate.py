"""The collate step of objects that still have to go through encoders, and a loader that uses it."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import DataLoader, IterableDataset, Sampler

from quaterion.batch import Batch, Features, PairTargets
from quaterion.dataset.object_reading import ObjectReading
from quaterion.dataset.similarity_data_loader import PairsSimilarityDataLoader, SimilarityDataLoader
from quaterion_models.collate import ModelCollate

__all__ = ["KeyedBatch", "RawCollate", "has_own_collate", "with_collate"]


class KeyedBatch(NamedTuple):
    """A raw batch with the keys of its objects for the encoders whose vectors come from a cache.

    Args:
        batch: The batch, its `features.cached` still empty.
        keys: For each cached encoder, uint8 `[R, 16]` for the R rows of the batch.
        whole: Of the global batch that it is a slice of, something that differs where another one was read.
    """

    batch: Batch
    keys: dict[str, NDArray[np.uint8]]
    whole: bytes | None = None


class RawCollate:
    """Collate step of the raw path: samples to encoder inputs and targets, run by the loader's workers.

    Args:
        loader: Whose own collate step separates objects from labels.
        model_collate: Prepares the encoders' inputs.
        two_sided: Whether the model treats queries and documents differently.
        subgroups_used: Whether the data set has more than one subgroup; None where that is not known.
        readings: How each encoder that is served from a cache sees an object.
    """

    def __init__(
        self,
        loader: SimilarityDataLoader[Any],
        model_collate: ModelCollate,
        *,
        two_sided: bool = False,
        subgroups_used: bool | None = None,
        readings: Mapping[str, ObjectReading] | None = None,
    ) -> None:
        self._type = type(loader)
        self._needs_ids = isinstance(loader, PairsSimilarityDataLoader)
        self._collate = loader.collate_fn
        self._model_collate = model_collate
        self._two_sided = two_sided
        self._subgroups_used = subgroups_used
        self._readings = dict(readings or {})

    def __call__(self, samples: list[Any]) -> KeyedBatch:
        """Turns samples into a batch."""
        if has_own_collate(self._type, self._collate):
            # Only pair losses read ids, and hashing large objects costs time.
            ids, objects = self._type.flatten_objects(samples, hash_ids=self._needs_ids)
            labels = self._type.collate_labels(samples)
        else:
            ids, objects, labels = self._collate(samples)
        targets = self._type.targets(ids, labels)
        if isinstance(targets, PairTargets):
            targets = targets._replace(subgroups_used=self._subgroups_used)
        sides = self._type.sides(samples) if self._two_sided else None
        inputs = self._model_collate(objects, sides)
        return KeyedBatch(
            Batch(
                Features(cached={}, inputs=inputs["data"], meta=inputs["meta"]),
                targets,
            ),
            keys={
                name: np.frombuffer(reading.keys(objects, sides), dtype=np.uint8).reshape(-1, 16)
                for name, reading in self._readings.items()
            },
        )


def has_own_collate(loader_type: type[SimilarityDataLoader[Any]], collate: Any) -> bool:
    """Whether a collate function is the loader's own, not one that a user wrote.

    Args:
        loader_type: Class of the loader.
        collate: The loader's collate function.
    """
    theirs = getattr(loader_type.collate, "__func__", None)
    return collate == loader_type.collate and theirs is SimilarityDataLoader.collate.__func__  # type: ignore[attr-defined]


def with_collate(
    loader: DataLoader[Any], collate: Callable[[list[Any]], Any], *, batch_sampler: Sampler[list[int]] | None = None
) -> DataLoader[Any]:
    """A loader that draws what another one draws, from the same sampler and generator, and collates otherwise.

    Args:
        loader: The loader to draw like.
        collate: The new loader's collate step.
        batch_sampler: Which samples make a batch, if not what the loader says.

    Returns:
        A plain DataLoader.
    """
    drawing: dict[str, Any] = {"batch_sampler": loader.batch_sampler if batch_sampler is None else batch_sampler}
    if isinstance(loader.dataset, IterableDataset):
        drawing = {"batch_size": loader.batch_size, "drop_last": loader.drop_last}
    if loader.num_workers:
        drawing |= {
            "multiprocessing_context": loader.multiprocessing_context,
            "prefetch_factor": loader.prefetch_factor,
            "persistent_workers": loader.persistent_workers,
            "timeout": loader.timeout,
            "worker_init_fn": loader.worker_init_fn,
        }
    return DataLoader(
        loader.dataset,
        num_workers=loader.num_workers,
        collate_fn=collate,
        pin_memory=loader.pin_memory,
        generator=loader.generator,
        **drawing,
    )
