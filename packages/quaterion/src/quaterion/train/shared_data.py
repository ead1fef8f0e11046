"""The data of a training by several processes, prepared once Lightning has started them all."""

from collections.abc import Callable
from typing import Any

from quaterion.train.lightning import pl
from quaterion.train.trainable_model import TrainableModel
from quaterion.utils.ranks import Ranks

__all__ = ["SharedData"]


class SharedData(pl.LightningDataModule):
    """Gives Lightning the batches of `fit`, of which each process has its slice.

    Args:
        model: The model to train.
        prepare: From the processes to the batches of training and validation.
    """

    def __init__(self, model: TrainableModel, prepare: Callable[[Ranks], tuple[Any, list[Any]]]) -> None:
        super().__init__()
        self._model, self._prepare = model, prepare
        self._train: Any = None
        self._validation: list[Any] = []

    def setup(self, stage: str) -> None:  # noqa: ARG002 - it is there for `fit` alone
        """Reads the data sets, fills the caches in shares, and prepares the batches; called by Lightning."""
        self._train, self._validation = self._prepare(self._model.ranks)
        ignore_shared_buffers(self._model)

    def train_dataloader(self) -> Any:
        """Batches of the training set, called by Lightning."""
        return self._train

    def val_dataloader(self) -> list[Any]:
        """Batches of the validation sets, called by Lightning."""
        return self._validation


def ignore_shared_buffers(model: TrainableModel) -> None:
    """Keeps DDP from sending, in every step, what is the same on all processes anyway, and may lie elsewhere.

    Args:
        model: The model; its memory, labels and teachers' vectors are left alone.
    """
    names = [name for name, _ in model.named_buffers() if name.startswith(("_memory.", "label_indexes."))]
    names += [name for name, _ in model.named_buffers() if name.startswith("_loss.") and ".table." in name]
    # What torch's own `_set_params_and_buffers_to_ignore_for_model` sets.
    model._ddp_params_and_buffers_to_ignore = names  # type: ignore[assignment]  # noqa: SLF001
