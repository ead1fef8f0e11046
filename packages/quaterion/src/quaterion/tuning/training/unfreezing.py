"""Training the top layers of the encoders along with a head: a head alone rearranges only what vectors hold."""

import atexit
import math
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from quaterion.cache.embedding_store import EmbeddingStore
from quaterion.tuning.training.fit_recipe import fit_recipe, trained_head_of
from quaterion.tuning.training.fold import Fold, TrainedFold
from quaterion.tuning.training.head_training import TrainedHead
from quaterion.tuning.training.recipe import Recipe
from quaterion.tuning.training.vectors import SampleVectors
from quaterion_models.encoders import Encoder
from quaterion_models.encoders.pretrained_encoder import PretrainedEncoder

__all__ = ["Unfreezing", "unfrozen_recipe"]

LAYERS = "trainable_layers"
BATCH_SIZE, EPOCHS, LEAST_STEPS = 64, 3, 120
"""The usual training of a transformer: small batches and few epochs, but some steps."""


def unfrozen_recipe(recipe: Recipe, layers: int, num_samples: int) -> Recipe:
    """A recipe by which top layers are trained, too.

    Args:
        recipe: The recipe of a head.
        layers: Layers of each encoder.
        num_samples: Samples to learn from.
    """
    batch_size = min(recipe.batch_size, BATCH_SIZE)
    epochs = max(EPOCHS, math.ceil(LEAST_STEPS / math.ceil(num_samples / batch_size)))
    return replace(recipe, trainable_layers=layers, batch_size=batch_size, epochs=epochs)


@dataclass
class Unfreezing:
    """Trains encoders whose lower layers are frozen, and runs them once for all samples.

    Args:
        vectors: What encodes with the encoders as they are; trainings run where it does.
        cache: Folder of what the frozen layers give; None for memory.

    Raises:
        ValueError: An encoder has no layers that could be trained.
    """

    vectors: SampleVectors
    cache: Path | None

    def __post_init__(self) -> None:
        self._stores: dict[str, EmbeddingStore] = {}
        for name, encoder in self.vectors.encoders.items():
            if not isinstance(encoder, PretrainedEncoder) or LAYERS not in encoder.SETTINGS:
                raise ValueError(
                    f"The encoder {name!r} is a {type(encoder).__name__}, whose layers cannot be trained one by one; "
                    "expected a SentenceTransformerEncoder or a TransformersEncoder. Leave out unfreeze (--unfreeze)."
                )

    def check(self, layers: int) -> None:
        """Finds out before any work whether that many layers can be trained.

        Args:
            layers: Layers of each encoder.

        Raises:
            ValueError: A model has fewer, or cannot be divided.
        """
        self._encoders(layers)

    def train(self, recipe: Recipe, samples: list[Any]) -> tuple[dict[str, Encoder], TrainedHead]:
        """Trains by `Quaterion.fit`.

        Args:
            recipe: The recipe.
            samples: What to learn from.

        Returns:
            The encoders, frozen again, and the head.
        """
        with torch.random.fork_rng(devices=[]):
            model = fit_recipe(
                recipe, self._encoders(recipe.trainable_layers), samples, cache=self.cache, stores=self._stores
            )
        self._stores.update(model.embedding_stores)  # the frozen layers run once for all trainings
        return {name: _frozen(encoder) for name, encoder in model.model.encoders.items()}, trained_head_of(model)

    def train_on(self, recipe: Recipe, fold: Fold) -> TrainedFold:
        """Trains on the part of a fold that is to learn from.

        Args:
            recipe: The recipe.
            fold: Both parts.
        """
        encoders, head = self.train(recipe, fold.to_learn_from(recipe))
        train, held_out = fold.encoded_by(self.vectors_of(encoders), recipe)
        for encoder in encoders.values():  # their vectors are known
            shutil.rmtree(encoder.folder)  # type: ignore[arg-type]
        return TrainedFold(train, held_out, head)

    def vectors_of(self, encoders: Mapping[str, Encoder]) -> SampleVectors:
        """What encodes with trained encoders, and keeps nothing on disk.

        Args:
            encoders: The encoders, frozen.
        """
        return SampleVectors(encoders, cache=None, device=self.vectors.device, progress=self.vectors.progress)

    def _encoders(self, layers: int) -> dict[str, Encoder]:
        return {name: _unfrozen(encoder, layers) for name, encoder in self.vectors.encoders.items()}


def _unfrozen(encoder: Any, layers: int) -> Encoder:
    made: Encoder = type(encoder)(encoder.folder, **{**encoder.settings, LAYERS: layers})
    return made


def _frozen(encoder: Any) -> Encoder:
    """A frozen copy, whose files stay as long as the process: it, and copies of it, read them when they are used."""
    folder = tempfile.mkdtemp(prefix="quaterion-encoder-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    frozen: Encoder = encoder.frozen_copy(folder)
    return frozen
