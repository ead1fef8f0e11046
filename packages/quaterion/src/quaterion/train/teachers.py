"""Vectors of other models that losses look up while they train: teachers and guides."""

from collections.abc import Sequence
from typing import Any

import torch

from quaterion.cache.config import CacheConfig, CacheType
from quaterion.cache.embedding_store import EmbeddingStore
from quaterion.cache.prepare import BatchSource
from quaterion.dataset.object_reading import ObjectReading
from quaterion.dataset.reading import SampleReading, read_data_set
from quaterion.dataset.similarity_data_loader import SimilarityDataLoader
from quaterion.dataset.target_table import PairTable
from quaterion.loss import SimilarityLoss
from quaterion.loss.vector_table import TeacherVectors, VectorTable
from quaterion_models import SimilarityModel
from quaterion_models.collate import ModelCollate
from quaterion_models.content_key import content_key
from quaterion_models.encoders import Encoder

__all__ = ["bind_teachers", "check_teachers", "release_teachers"]


def check_teachers(loss: SimilarityLoss) -> None:
    """Refuses teachers that training cannot take fixed vectors from.

    Args:
        loss: The loss.

    Raises:
        TypeError: A teacher is no frozen encoder, no store and no table.
    """
    for teacher in _teachers(loss):
        origin = teacher.source
        if isinstance(origin, Encoder) and origin.trainable:
            raise TypeError(
                f"The {teacher.role} is a {type(origin).__name__} that is trainable, but each object is encoded once "
                "and its vector stays as it is. Expected an Encoder with trainable = False: freeze it, or pass a "
                "frozen copy."
            )
        if isinstance(origin, Encoder) and origin.get_side_fn() is not None:
            raise TypeError(
                f"The {teacher.role} is a {type(origin).__name__}, which prepares queries and documents differently, "
                "but each object has one vector of it. Expected an Encoder without prompts by side, or a VectorTable."
            )
        if not isinstance(origin, Encoder | EmbeddingStore | VectorTable):
            raise TypeError(
                f"The {teacher.role} is a {type(origin).__name__}; expected an Encoder, an EmbeddingStore or a "
                "VectorTable."
            )


def release_teachers(loss: SimilarityLoss) -> None:
    """Takes back the vectors that an earlier training bound, which may lack objects of the data of this one.

    Args:
        loss: The loss.
    """
    for teacher in _teachers(loss):
        if not isinstance(teacher.source, VectorTable):
            teacher.table = None


def bind_teachers(loss: SimilarityLoss, loaders: Sequence[SimilarityDataLoader[Any]], source: BatchSource) -> None:
    """Gives a loss's teachers the vectors of every object in the data.

    A teacher that is an encoder encodes each object once; one that is a store must hold them all.

    Args:
        loss: The loss, whose unbound `TeacherVectors` are bound; it has passed `check_teachers`.
        loaders: Training and validation data.
        source: Device and progress bars of the training.

    Raises:
        TypeError: The data are no pairs.
        ValueError: A store lacks an object.
    """
    for teacher in _teachers(loss):
        if teacher.bound:
            continue
        parts = [_table(teacher, loader, source) for loader in loaders]
        ids, vectors = (torch.cat(part) for part in zip(*parts, strict=True))
        teacher.bind(VectorTable(ids, vectors).to(source.device))


def _teachers(loss: SimilarityLoss) -> list[TeacherVectors]:
    return [module for module in loss.modules() if isinstance(module, TeacherVectors)]


def _table(
    teacher: TeacherVectors, loader: SimilarityDataLoader[Any], source: BatchSource
) -> tuple[torch.Tensor, torch.Tensor]:
    """Ids and vectors of the objects in one data set."""
    origin = teacher.source
    if isinstance(origin, Encoder):
        # The teacher's own model and stores: its vectors are not those that the student is trained on.
        config = CacheConfig(CacheType.CPU)
        own = BatchSource(
            SimilarityModel({teacher.role: origin}, None),
            config,
            source.device,
            progress=source.progress,
            ranks=source.ranks,
        )
        reading = own.read(loader)
        if reading is not None:
            placed = own.place(teacher.role, loader, reading)
            return _ids(teacher, reading), placed.take(torch.arange(int(reading.offsets[-1])))
    if isinstance(origin, EmbeddingStore):
        reading = read_data_set(loader, {"": ObjectReading(content_key, lambda _: 0)}, ModelCollate({}, {}))
        rows = origin.rows(reading.keys[""])
        missing = int((rows < 0).sum())
        if missing:
            raise ValueError(
                f"The {teacher.role}'s store lacks {missing} of the data's {len(rows)} objects. Fill it from the same "
                f"data, or pass the encoder itself as the {teacher.role}."
            )
        return _ids(teacher, reading), origin.take(rows).float()
    raise TypeError(
        f"The {teacher.role} is a {type(origin).__name__}; expected an Encoder, an EmbeddingStore or a VectorTable."
    )


def _ids(teacher: TeacherVectors, reading: SampleReading) -> torch.Tensor:
    if not isinstance(reading.table, PairTable):
        raise TypeError(f"A {teacher.role} looks its vectors up by the ids of pairs; the data are groups.")
    return reading.table.ids
