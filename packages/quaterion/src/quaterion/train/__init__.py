"""Training on Lightning."""

from quaterion.train.fit import fit, prepare_batches
from quaterion.train.trainable_model import TrainableModel

__all__ = ["TrainableModel", "fit", "prepare_batches"]
