"""The entry point of programs: train, evaluate, and defaults for a Trainer."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import Tensor

from quaterion.dataset.multi_data_loader import MultiSimilarityDataLoader
from quaterion.dataset.similarity_data_loader import SimilarityDataLoader
from quaterion.train.defaults import trainer_defaults
from quaterion.train.fit import fit
from quaterion.train.lightning import pl
from quaterion.train.trainable_model import TrainableModel
from quaterion_models import SimilarityModel

if TYPE_CHECKING:
    from quaterion.eval.evaluator import Evaluator

__all__ = ["Quaterion"]

Loader = SimilarityDataLoader[Any]


class Quaterion:
    """Trains and evaluates similarity models.

    Example:
        ```python
        model = Model(lr=1e-3)  # a TrainableModel of yours
        Quaterion.fit(model, pl.Trainer(max_epochs=20), train_loader, val_loader)
        model.save_servable("my-model")
        ```
    """

    @classmethod
    def fit(
        cls,
        trainable_model: TrainableModel,
        trainer: pl.Trainer | None,
        train_dataloader: Loader | MultiSimilarityDataLoader,
        val_dataloader: Loader | Sequence[Loader] | Mapping[str, Loader] | None = None,
        ckpt_path: str | Path | None = None,
    ) -> None:
        """Trains a model, from cached vectors where the model configures a cache.

        Nothing that is passed in is changed but the model being trained. Data and settings are checked before the
        first object is encoded.

        Args:
            trainable_model: What to train.
            trainer: Trainer of `pytorch_lightning`; None takes one with `trainer_defaults`.
            train_dataloader: Training data, of the kind that the loss takes; several data sets in a
                `MultiSimilarityDataLoader`.
            val_dataloader: Validation data: one loader, or a list or dictionary of loaders.
            ckpt_path: Checkpoint of an earlier run to resume from.

        Raises:
            TypeError: An argument is of the wrong kind, such as a Trainer of the package `lightning`.
            ValueError: The data cannot train the model, or an encoder gives unusable vectors.
            OSError: The cache's folder cannot be written.
        """
        fit(trainable_model, trainer, train_dataloader, val_dataloader, ckpt_path)

    @classmethod
    def evaluate(
        cls, evaluator: "Evaluator", dataset: Any, model: SimilarityModel | TrainableModel
    ) -> dict[str, Tensor]:
        """Computes metrics of a model over a data set.

        Args:
            evaluator: Metrics and how objects are sampled.
            dataset: Similarity samples.
            model: The model; a `TrainableModel` is evaluated by its `model`.

        Returns:
            Values by the name of the metric.
        """
        return evaluator.evaluate(dataset, model)

    @staticmethod
    def trainer_defaults(
        trainable_model: TrainableModel | None = None, train_dataloader: Loader | None = None
    ) -> dict[str, Any]:
        """Arguments for `pl.Trainer(**...)` that suit the training of a head; see `quaterion.train.defaults`.

        Args:
            trainable_model: The model to train, if known.
            train_dataloader: The training data, if known.

        Returns:
            Keyword arguments. `callbacks` holds a progress bar, early stopping and a model summary, in this order.
        """
        return trainer_defaults(trainable_model, train_dataloader)
