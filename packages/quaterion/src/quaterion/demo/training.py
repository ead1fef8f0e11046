"""Training for a fixed number of epochs, of which the best is kept."""

import tempfile
from collections.abc import Callable
from contextlib import AbstractContextManager

import torch

from quaterion.dataset import PairsSimilarityDataLoader
from quaterion.main import Quaterion
from quaterion.train.lightning import pl, quiet_lightning, with_ctrl_c
from quaterion.train.trainable_model import TrainableModel

__all__ = ["train_best_epoch"]

Advance = Callable[[int], object]


def train_best_epoch(
    model: TrainableModel,
    train: PairsSimilarityDataLoader,
    validation: PairsSimilarityDataLoader,
    *,
    epochs: int,
    bar: Callable[[str, int], AbstractContextManager[Advance]],
) -> None:
    """Trains a model and leaves it as it was after the epoch with the best validation MRR.

    Args:
        model: The model; it logs the metric `mrr`.
        train: Pairs to learn from.
        validation: Pairs that choose the epoch.
        epochs: How often to go through the data.
        bar: Opens a progress bar.

    Raises:
        KeyboardInterrupt: The user stopped it.
    """
    with tempfile.TemporaryDirectory() as folder, quiet_lightning(), bar("Training (epochs)", epochs) as advance:
        best = pl.callbacks.ModelCheckpoint(folder, monitor="mrr_validation", mode="max", save_weights_only=True)
        trainer = pl.Trainer(
            max_epochs=epochs,
            devices=1,
            callbacks=[best, _EpochBar(advance)],
            logger=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            num_sanity_val_steps=0,
        )
        with with_ctrl_c(trainer):
            Quaterion.fit(model, trainer, train, validation)
        model.load_state_dict(torch.load(best.best_model_path, weights_only=True)["state_dict"])


class _EpochBar(pl.Callback):
    """Moves a progress bar by one after each epoch."""

    def __init__(self, advance: Advance) -> None:
        self._advance = advance

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:  # noqa: ARG002
        self._advance(1)
