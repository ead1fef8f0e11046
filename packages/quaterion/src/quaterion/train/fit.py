"""Training: checks first, then the caches, then Lightning's own loop over our batches."""

import logging
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import torch

from quaterion.batch import Batch, GroupTargets
from quaterion.cache.prepare import BatchSource
from quaterion.dataset.multi_data_loader import MultiBatches, MultiSimilarityDataLoader, NamedBatches
from quaterion.dataset.rank_slices import widened
from quaterion.dataset.reading import SampleReading
from quaterion.dataset.similarity_data_loader import SimilarityDataLoader
from quaterion.dataset.target_table import GroupTable
from quaterion.loss import SimilarityLoss
from quaterion.train.checked_batches import CheckedBatches
from quaterion.train.checks import (
    check_loader,
    check_model,
    check_trainer_fits,
    check_training_targets,
    loss_of_each,
)
from quaterion.train.checks_of_devices import check_devices, check_some_for_each
from quaterion.train.defaults import trainer_defaults
from quaterion.train.label_indexes import DataSetLabels
from quaterion.train.lightning import check_trainer, pl, without_misplaced_warnings
from quaterion.train.same_data import ReadData, check_same_data
from quaterion.train.shared_data import SharedData
from quaterion.train.teachers import bind_teachers, release_teachers
from quaterion.train.trainable_model import TrainableModel
from quaterion.utils.progress import progress_bar
from quaterion.utils.ranks import Ranks

__all__ = ["fit", "prepare_batches"]

logger = logging.getLogger(__name__)

Loader = SimilarityDataLoader[Any]
ValLoaders = Loader | Sequence[Loader] | Mapping[str, Loader] | None


def fit(
    trainable_model: TrainableModel,
    trainer: pl.Trainer | None,
    train_dataloader: Loader | MultiSimilarityDataLoader,
    val_dataloader: ValLoaders = None,
    ckpt_path: str | Path | None = None,
) -> None:
    """Trains a model; see `Quaterion.fit`."""
    check_model(trainable_model)
    if trainer is not None:
        check_trainer(trainer)
    train_loaders, strategy = _by_name(train_dataloader)
    val_loaders = _listed(val_dataloader)
    losses = loss_of_each(trainable_model, train_loaders, val_loaders, by_source=strategy is not None)
    for role, loaders in (("train_dataloader", train_loaders), ("val_dataloader", val_loaders)):
        for name, loader in loaders.items():
            check_loader(losses[name], loader, role)
    if trainer is None:
        trainer = pl.Trainer(**trainer_defaults(trainable_model, train_dataloader))
    check_trainer_fits(trainable_model, trainer)
    check_devices(trainable_model, trainer, _called("training", train_loaders), _called("validation", val_loaders))

    def prepare(ranks: Ranks) -> tuple[Any, list[Any]]:
        """Training and validation batches."""
        show_progress = trainer.progress_bar_callback is not None and ranks.rank == 0
        source = _source(trainable_model, trainer.strategy.root_device, show_progress=show_progress)
        source.ranks = ranks
        drawn = {name: widened(loader, ranks) for name, loader in train_loaders.items()}
        drawn_val = {name: widened(loader, ranks) for name, loader in val_loaders.items()}
        # All data sets are read and checked before the first object is encoded: a bad row shows itself at once.
        train = {name: source.read(loader) for name, loader in drawn.items()}
        validation = {name: source.read(loader) for name, loader in drawn_val.items()}
        _check_processes(
            source,
            [*map(ReadData, _called("training", train_loaders), train_loaders.values(), train.values())],
            [*map(ReadData, _called("validation", val_loaders), val_loaders.values(), validation.values())],
        )
        labels = _check_data(trainable_model, losses, train, validation)
        bind_teachers(trainable_model.loss, [*drawn.values(), *drawn_val.values()], source)
        named = [
            NamedBatches(name, _batches(source, drawn[name], reading, losses[name])) for name, reading in train.items()
        ]
        train_batches: Any = named[0] if strategy is None else MultiBatches(named, strategy, ranks)
        overfit = getattr(trainer, "overfit_batches", 0)
        if overfit:
            train_batches = _FirstBatches(train_batches, overfit)
        val_batches = [
            NamedBatches(name, _batches(source, drawn_val[name], reading, losses[name]))
            for name, reading in validation.items()
        ]
        check = None if ckpt_path is None else source.check_encoders
        trainable_model.start_training(list(train_loaders.values()), labels, check_restored=check)
        return train_batches, val_batches

    try:
        if trainer.world_size == 1:
            train_batches, val_batches = prepare(Ranks())
            given: dict[str, Any] = {"train_dataloaders": train_batches, "val_dataloaders": val_batches or None}
        else:  # the other processes, with which the cache is filled, do not exist before Lightning starts them
            given = {"datamodule": SharedData(trainable_model, prepare)}
        with without_misplaced_warnings():
            trainer.fit(trainable_model, ckpt_path=ckpt_path, **given)
    finally:
        trainable_model.end_training()


def prepare_batches(
    trainable_model: TrainableModel, loader: Loader, *, device: str | torch.device = "cpu", show_progress: bool = False
) -> Iterable[Batch]:
    """Batches of a loader for a training loop of one's own: what `Quaterion.fit` gives to the Trainer.

    Args:
        trainable_model: The model; its frozen encoders are cached as `configure_caches` says.
        loader: The training data.
        device: Where the encoders run and the model trains.
        show_progress: Show a progress bar while the cache is filled.

    Returns:
        An iterable of `Batch`, drawn anew in each pass.

    Raises:
        TypeError: Model or loader are of the wrong kind.
        ValueError: The data cannot train the model.
    """
    check_model(trainable_model)
    losses = loss_of_each(trainable_model, {"": loader}, {}, by_source=False)
    check_loader(losses[""], loader, "loader")
    source = _source(trainable_model, torch.device(device), show_progress=show_progress)
    reading = source.read(loader)
    _check_data(trainable_model, losses, {"": reading}, {})
    bind_teachers(trainable_model.loss, [loader], source)
    return _batches(source, loader, reading, losses[""])


class _FirstBatches:
    """The batches that `Trainer(overfit_batches=...)` repeats in every epoch: a number of them, or a share."""

    def __init__(self, batches: Any, count: float) -> None:
        self._kept = list(islice(batches, count if isinstance(count, int) else math.ceil(count * len(batches))))

    def __len__(self) -> int:
        return len(self._kept)

    def __iter__(self) -> Iterator[Batch]:
        return iter(self._kept)


def _source(model: TrainableModel, device: torch.device, *, show_progress: bool) -> BatchSource:
    source = BatchSource(model.model, model.configure_caches(), device, stores=model.embedding_stores)
    source.needs_all_targets = model.label_index is not None
    if show_progress:
        source.progress, source.tell = progress_bar, pl.utilities.rank_zero_info
    return source


def _batches(
    source: BatchSource, loader: Loader, reading: SampleReading | None, loss: SimilarityLoss
) -> Iterable[Batch]:
    batches = source.batches(loader, reading)
    return batches if reading is not None and reading.complete else CheckedBatches(batches, loss)


def _check_data(
    model: TrainableModel,
    losses: Mapping[str, SimilarityLoss],
    train: Mapping[str, SampleReading | None],
    validation: Mapping[str, SampleReading | None],
) -> list[DataSetLabels]:
    """Checks what was read of the data sets, and returns the labels that losses with class weights learn from them."""
    release_teachers(model.loss)
    labels = [
        DataSetLabels(name if model.loss_by_source else None, torch.unique(reading.table.groups), reading.label_names)
        for name, reading in train.items()
        if model.label_index is not None and reading is not None and isinstance(reading.table, GroupTable)
    ]
    for one in labels:
        model.label_indexes.learn(one)
    for name, reading in train.items():
        if reading is not None:
            _check_training(model, losses[name], name, reading)
    for name, reading in validation.items():
        if reading is not None:
            _check_validation(model, losses[name], name, reading)
    return labels


def _check_processes(source: BatchSource, training: list[ReadData], validation: list[ReadData]) -> None:
    """Checks that all processes have read the same, and enough of it."""
    check_same_data(source, [*training, *validation])
    for one in training:
        if one.reading is not None and one.reading.complete:
            check_some_for_each(one.name, len(one.reading.table), source.ranks.size)


def _check_training(model: TrainableModel, loss: SimilarityLoss, name: str, reading: SampleReading) -> None:
    targets = reading.table.all()
    loss.check_targets(model.loss_targets(targets, name))
    if reading.complete:
        check_training_targets(targets, reading.label_names, compares=loss.num_groups is None)


def _check_validation(model: TrainableModel, loss: SimilarityLoss, name: str, reading: SampleReading) -> None:
    targets = model.loss_targets(reading.table.all(), name)
    loss.check_targets(targets)
    if loss.num_groups is not None and isinstance(targets, GroupTargets):
        unknown = int((targets.groups < 0).sum())
        if unknown:
            logger.warning(
                "%d of %d validation objects are of groups that training never saw: %s skips them, metrics use all.",
                unknown,
                len(targets.groups),
                type(loss).__name__,
            )


def _called(role: str, loaders: Mapping[str, Loader]) -> dict[str, Loader]:
    """Loaders by what messages call their data sets."""
    return {f"{role} set {name!r}" if name else f"{role} set": loader for name, loader in loaders.items()}


def _by_name(train: Any) -> tuple[dict[str, Any], Any]:
    """Training loaders by name, and the strategy where there may be several."""
    if isinstance(train, MultiSimilarityDataLoader):
        return train.loaders, train.strategy
    return {"": train}, None


def _listed(validation: Any) -> dict[str, Any]:
    """Validation loaders by name; those of a list get numbers."""
    if validation is None:
        return {}
    if isinstance(validation, Mapping):
        return dict(validation)
    if isinstance(validation, Sequence):
        return {str(number): loader for number, loader in enumerate(validation)}
    return {"": validation}
