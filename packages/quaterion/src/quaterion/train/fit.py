"""Training: checks first, then the caches, then Lightning's own loop over our batches."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from quaterion.batch import Batch
from quaterion.cache.prepare import BatchSource
from quaterion.dataset.reading import SampleReading
from quaterion.dataset.similarity_data_loader import SimilarityDataLoader
from quaterion.train.checks import check_loader, check_model, check_training_targets
from quaterion.train.defaults import trainer_defaults
from quaterion.train.lightning import check_trainer, pl, without_misplaced_warnings
from quaterion.train.progress import progress_bar
from quaterion.train.trainable_model import TrainableModel

__all__ = ["fit", "prepare_batches"]

Loader = SimilarityDataLoader[Any]
ValLoaders = Loader | Sequence[Loader] | Mapping[str, Loader] | None


def fit(
    trainable_model: TrainableModel,
    trainer: pl.Trainer | None,
    train_dataloader: Loader,
    val_dataloader: ValLoaders = None,
    ckpt_path: str | Path | None = None,
) -> None:
    """Trains a model; see `Quaterion.fit`."""
    check_model(trainable_model)
    if trainer is not None:
        check_trainer(trainer)
    check_loader(trainable_model, train_dataloader, "train_dataloader")
    _each(val_dataloader, lambda loader: check_loader(trainable_model, loader, "val_dataloader"))
    if trainer is None:
        trainer = pl.Trainer(**trainer_defaults(trainable_model, train_dataloader))
    source = _source(
        trainable_model, trainer.strategy.root_device, show_progress=trainer.progress_bar_callback is not None
    )
    # All data sets are read and checked before the first object is encoded: a bad row shows itself at once.
    train = source.read(train_dataloader)
    _prepare_loss(trainable_model, train)
    validation = _each(val_dataloader, lambda loader: (loader, _checked(trainable_model, source.read(loader))))
    train_batches = source.batches(train_dataloader, train)
    validation_batches = _each(validation, lambda pair: source.batches(*pair))
    with without_misplaced_warnings():
        trainer.fit(trainable_model, train_batches, validation_batches, ckpt_path=ckpt_path)


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
    check_loader(trainable_model, loader, "loader")
    source = _source(trainable_model, torch.device(device), show_progress=show_progress)
    reading = source.read(loader)
    _prepare_loss(trainable_model, reading)
    return source.batches(loader, reading)


def _source(model: TrainableModel, device: torch.device, *, show_progress: bool) -> BatchSource:
    source = BatchSource(model.model, model.configure_caches(), device, stores=model.embedding_stores)
    if show_progress:
        source.progress = progress_bar
    return source


def _prepare_loss(model: TrainableModel, reading: SampleReading | None) -> None:
    if reading is None or not reading.complete:
        _checked(model, reading)
        return
    targets = reading.table.all()
    model.loss.prepare_fit(targets)
    check_training_targets(targets)


def _checked(model: TrainableModel, reading: SampleReading | None) -> SampleReading | None:
    if reading is not None:
        model.loss.check_targets(reading.table.all())
    return reading


def _each(loaders: Any, function: Callable[[Any], Any]) -> Any:
    """Applies a function to one loader, or to each of a list or dictionary of them, keeping the structure."""
    if isinstance(loaders, Mapping):
        return {name: function(loader) for name, loader in loaders.items()}
    if isinstance(loaders, list):
        return [function(loader) for loader in loaders]
    return None if loaders is None else function(loaders)
