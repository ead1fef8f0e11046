"""Loaders of similarity samples: torch's DataLoader with a collate step that separates objects from targets."""

import os
from abc import abstractmethod
from collections.abc import Callable, Hashable, Sequence, Sized
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset

from quaterion.batch import GroupTargets, PairTargets
from quaterion.dataset.batch_samplers import GroupBatchSampler, TensorBatchSampler, UniqueSubgroupBatchSampler
from quaterion.dataset.labels import group_ids
from quaterion.dataset.randomness import undisturbed_randomness
from quaterion.dataset.similarity_samples import SimilarityGroupSample, SimilarityPairSample
from quaterion_models.content_key import content_id

__all__ = ["GroupSimilarityDataLoader", "PairsSimilarityDataLoader", "SimilarityDataLoader", "object_ids"]

SampleT = TypeVar("SampleT", SimilarityGroupSample, SimilarityPairSample)


def object_ids(objects: Sequence[Any]) -> list[int]:
    """64-bit ids of objects: equal for objects of equal content.

    Objects whose content cannot be read are taken as all different, since nothing is known about them.

    Args:
        objects: The objects of one batch or of one data set.

    Returns:
        One int64 value for each object.

    Example:
        >>> a, b, c = object_ids(["x", "y", "x"])
        >>> a == c, a == b
        (True, False)
    """
    ids = []
    for obj in objects:
        try:
            ids.append(content_id(obj))
        except TypeError:
            ids.append(int.from_bytes(os.urandom(8), "little", signed=True))
    return ids


class SimilarityDataLoader(DataLoader[Any], Generic[SampleT]):
    """Base of the two loaders; takes every argument of `torch.utils.data.DataLoader`.

    Iterated on its own it gives `(ids, objects, labels)` for each batch. `Quaterion.fit` never changes
    a loader: it reads the data set, the sampler and the other settings from it and draws batches of its own.

    Args:
        dataset: Data set (or list) of samples, map-style or iterable.
        **kwargs: Arguments of `torch.utils.data.DataLoader`. A `collate_fn` of yours takes a list of samples and
            returns `(ids, objects, labels)`.

    Raises:
        ValueError: The data set is empty.
    """

    def __init__(self, dataset: Any, **kwargs: Any) -> None:
        if isinstance(dataset, Sized) and len(dataset) == 0:
            raise ValueError(
                f"{type(self).__name__} got an empty data set. Expected at least one sample: "
                "check the path or the filter that the samples come from."
            )
        kwargs.setdefault("collate_fn", type(self).collate)
        super().__init__(dataset, **kwargs)

    @classmethod
    def collate(cls, batch: list[SampleT]) -> tuple[list[int], list[Any], dict[str, Tensor]]:
        """Separates a list of samples into ids, objects and labels.

        Args:
            batch: The samples of one batch.

        Returns:
            Ids of the objects, the objects, and the tensors of `collate_labels`.
        """
        ids, objects = cls.flatten_objects(batch, hash_ids=True)
        return ids, objects, cls.collate_labels(batch)

    @classmethod
    @abstractmethod
    def collate_labels(cls, batch: list[SampleT]) -> dict[str, Tensor]:
        """Targets of a list of samples as tensors."""

    @classmethod
    @abstractmethod
    def objects_of(cls, sample: SampleT) -> list[Any]:
        """The objects of one sample, in order."""

    @classmethod
    @abstractmethod
    def flatten_objects(cls, batch: list[SampleT], hash_ids: bool = True) -> tuple[list[int], list[Any]]:
        """Objects of a list of samples in the order of the embeddings' rows, with their ids."""

    @classmethod
    @abstractmethod
    def sides(cls, batch: list[SampleT]) -> list[str] | None:
        """Side ("query" or "document") of each flattened object, None where the samples have no sides."""

    @classmethod
    @abstractmethod
    def targets(cls, ids: Sequence[int], labels: dict[str, Tensor]) -> GroupTargets | PairTargets:
        """What the loss takes, from the ids and labels of a batch."""


def _check_samples(batch: Sequence[Any], expected: type) -> None:
    for sample in batch:
        if not isinstance(sample, expected):
            raise TypeError(
                f"The data set yields a {type(sample).__name__}; expected {expected.__name__}. "
                "Wrap each item, or use the other loader."
            )


class GroupSimilarityDataLoader(SimilarityDataLoader[SimilarityGroupSample]):
    """Loader of `SimilarityGroupSample`, for group losses.

    Args:
        dataset: Data set (or list) of `SimilarityGroupSample`.
        groups_per_batch: P, for batches of P groups × K samples; with `samples_per_group`.
        samples_per_group: K, for batches of P groups × K samples; with `groups_per_batch`.
        **kwargs: Arguments of `torch.utils.data.DataLoader`.

    Raises:
        ValueError: The data set is empty, or P × K batches cannot be drawn from it.

    Example:
        >>> data = [SimilarityGroupSample("orange", 0), SimilarityGroupSample("lemon", 0)]
        >>> ids, objects, labels = next(iter(GroupSimilarityDataLoader(data, batch_size=2)))
        >>> objects, labels["groups"].tolist()
        (['orange', 'lemon'], [0, 0])
    """

    def __init__(
        self,
        dataset: Any,
        *,
        groups_per_batch: int | None = None,
        samples_per_group: int | None = None,
        **kwargs: Any,
    ) -> None:
        if (groups_per_batch is None) != (samples_per_group is None):
            raise ValueError(
                f"Got groups_per_batch={groups_per_batch} and samples_per_group={samples_per_group}; expected both or "
                "neither."
            )
        if groups_per_batch is not None and samples_per_group is not None:
            kwargs = _composed(
                dataset,
                kwargs,
                "P x K batches",
                lambda generator: GroupBatchSampler(
                    _labels_of(type(self), dataset)["groups"],
                    groups_per_batch=groups_per_batch,
                    samples_per_group=samples_per_group,
                    generator=generator,
                ),
                size=groups_per_batch * samples_per_group,
            )
        super().__init__(dataset, **kwargs)

    @classmethod
    def collate_labels(cls, batch: list[SimilarityGroupSample]) -> dict[str, Tensor]:
        """Groups of the samples.

        Args:
            batch: Samples of one batch.

        Returns:
            `{"groups": int64 [B]}`.

        Raises:
            TypeError: A group is no label that `group_id` takes.
            ValueError: A group is missing or NaN.
        """
        _check_samples(batch, SimilarityGroupSample)
        return {"groups": group_ids(sample.group for sample in batch)}

    @classmethod
    def objects_of(cls, sample: SimilarityGroupSample) -> list[Any]:
        """The object of a sample, in a list."""
        return [sample.obj]

    @classmethod
    def flatten_objects(cls, batch: list[SimilarityGroupSample], hash_ids: bool = True) -> tuple[list[int], list[Any]]:
        """Objects of the samples, one for each.

        Args:
            batch: Samples of one batch.
            hash_ids: Ids are digests of the objects' content; else their positions.

        Returns:
            Ids and objects, both of length B.
        """
        _check_samples(batch, SimilarityGroupSample)
        objects = [sample.obj for sample in batch]
        return (object_ids(objects) if hash_ids else list(range(len(objects)))), objects

    @classmethod
    def sides(cls, batch: list[SimilarityGroupSample]) -> list[str] | None:  # noqa: ARG003
        """Members of a group have no sides."""
        return None

    @classmethod
    def targets(cls, ids: Sequence[int], labels: dict[str, Tensor]) -> GroupTargets:  # noqa: ARG003
        """Targets of a group loss."""
        return GroupTargets(groups=labels["groups"])


class PairsSimilarityDataLoader(SimilarityDataLoader[SimilarityPairSample]):
    """Loader of `SimilarityPairSample`, for pair losses.

    Args:
        dataset: Data set (or list) of `SimilarityPairSample`.
        unique_subgroups: No two pairs of one subgroup in a batch of `batch_size` pairs.
        **kwargs: Arguments of `torch.utils.data.DataLoader`.

    Raises:
        ValueError: The data set is empty, or subgroups are to be unique and there is only one, or no batch size.

    Example:
        >>> data = [SimilarityPairSample("1", "one"), SimilarityPairSample("2", "two")]
        >>> ids, objects, labels = next(iter(PairsSimilarityDataLoader(data, batch_size=2)))
        >>> objects, labels["pairs"].tolist()
        (['1', '2', 'one', 'two'], [[0, 2], [1, 3]])
    """

    def __init__(self, dataset: Any, *, unique_subgroups: bool = False, **kwargs: Any) -> None:
        if unique_subgroups:
            size = kwargs.get("batch_size")
            if size is None:
                raise ValueError(
                    "unique_subgroups=True composes batches of batch_size pairs, but got no batch_size. Pass one, "
                    "such as batch_size=256."
                )
            kwargs = _composed(
                dataset,
                kwargs,
                "unique_subgroups",
                lambda generator: UniqueSubgroupBatchSampler(
                    _labels_of(type(self), dataset)["subgroups"][: len(dataset)], batch_size=size, generator=generator
                ),
                size=size,
            )
        super().__init__(dataset, **kwargs)

    @classmethod
    def collate_labels(cls, batch: list[SimilarityPairSample]) -> dict[str, Tensor]:
        """Pairs, scores, subgroups and explicit negatives of the samples.

        Args:
            batch: Samples of one batch, P of them, with M explicit negatives in all.

        Returns:
            `pairs` int64 `[P, 2]` (rows i and i + P), `labels` float32 `[P]` (the scores), `subgroups` int64 `[2P]`,
            and `negatives` int64 `[M, 2]` (row of the anchor, row of the negative) where there are any.

        Raises:
            TypeError: A subgroup is no label that `group_id` takes, or a score is no number.
            ValueError: A subgroup is missing or NaN.
        """
        _check_samples(batch, SimilarityPairSample)
        count = len(batch)
        first = torch.arange(count)
        subgroups = _subgroup_ids([sample.subgroup for sample in batch])
        labels = {
            "pairs": torch.stack([first, first + count], dim=1),
            "labels": _scores(batch),
            "subgroups": torch.cat([subgroups, subgroups]),
        }
        for sample in batch:
            if isinstance(sample.negatives, str | bytes) or not isinstance(sample.negatives, Sequence):
                raise TypeError(
                    f"A pair has negatives={sample.negatives!r}; expected a list of objects, which may be empty."
                )
        counts = torch.tensor([len(sample.negatives) for sample in batch], dtype=torch.int64)
        if int(counts.sum()):
            anchors = torch.repeat_interleave(first, counts)
            labels["negatives"] = torch.stack([anchors, torch.arange(len(anchors)) + 2 * count], dim=1)
        return labels

    @classmethod
    def objects_of(cls, sample: SimilarityPairSample) -> list[Any]:
        """Both objects of a sample and its negatives."""
        return [sample.obj_a, sample.obj_b, *sample.negatives]

    @classmethod
    def flatten_objects(cls, batch: list[SimilarityPairSample], hash_ids: bool = True) -> tuple[list[int], list[Any]]:
        """All first objects, then all second objects, then all explicit negatives.

        Args:
            batch: Samples of one batch, P of them, with M explicit negatives in all.
            hash_ids: Ids are digests of the objects' content; else their positions.

        Returns:
            Ids and objects, both of length 2P + M.
        """
        _check_samples(batch, SimilarityPairSample)
        objects = [sample.obj_a for sample in batch]
        objects += [sample.obj_b for sample in batch]
        for sample in batch:
            objects += sample.negatives
        return (object_ids(objects) if hash_ids else list(range(len(objects)))), objects

    @classmethod
    def sides(cls, batch: list[SimilarityPairSample]) -> list[str] | None:
        """First objects are queries; second objects and negatives are documents."""
        documents = len(batch) + sum(len(sample.negatives) for sample in batch)
        return ["query"] * len(batch) + ["document"] * documents

    @classmethod
    def targets(cls, ids: Sequence[int], labels: dict[str, Tensor]) -> PairTargets:
        """Targets of a pair loss."""
        negatives = labels.get("negatives")
        return PairTargets(
            pairs=labels["pairs"],
            scores=labels["labels"],
            subgroups=labels["subgroups"],
            ids=torch.tensor(ids, dtype=torch.int64),
            negatives=torch.empty((0, 2), dtype=torch.int64) if negatives is None else negatives,
        )


def _composed(
    dataset: Any,
    kwargs: dict[str, Any],
    what: str,
    sampler: Callable[[torch.Generator | None], TensorBatchSampler],
    *,
    size: int,
) -> dict[str, Any]:
    """A loader's arguments with a batch sampler of ours in place of what it composes itself."""
    if not isinstance(dataset, Sized) or isinstance(dataset, IterableDataset):
        raise TypeError(f"{what} need a data set with a length and items by index; got a {type(dataset).__name__}.")
    rest = dict(kwargs)
    asked = rest.pop("batch_size", size)
    if asked != size:
        raise ValueError(f"{what} have {size} samples, but batch_size={asked}. Leave batch_size out, or make it fit.")
    if rest.pop("shuffle", None) is False:
        raise ValueError(f"{what} are always drawn at random, but shuffle=False. Leave shuffle out.")
    clash = sorted({"sampler", "batch_sampler", "drop_last"} & set(rest))
    if clash:
        raise ValueError(f"{what} compose the batches themselves; leave out {', '.join(clash)}.")
    if not len(dataset):
        return rest  # the base class says so
    return {**rest, "batch_sampler": sampler(rest.get("generator"))}


def _labels_of(loader_type: type[SimilarityDataLoader[Any]], dataset: Any) -> dict[str, Tensor]:
    with undisturbed_randomness():
        return loader_type.collate_labels([dataset[index] for index in range(len(dataset))])


def _subgroup_ids(subgroups: list[Hashable]) -> Tensor:
    try:
        return group_ids(subgroups)
    except (TypeError, ValueError) as error:
        raise type(error)(f"{error} (read as the `subgroup` of a pair)") from error


def _scores(batch: list[SimilarityPairSample]) -> Tensor:
    return torch.tensor([_as_number(sample.score) for sample in batch], dtype=torch.float32)


def _as_number(score: Any) -> float:
    try:
        if not isinstance(score, str | bytes):
            return float(score)
    except (TypeError, ValueError):
        pass
    raise TypeError(f"A pair has the score {score!r}; expected a number in [0, 1].")
