"""The final training: the chosen recipe on all labelled data, through `Quaterion.fit`."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from quaterion.cache.config import CacheConfig
from quaterion.dataset import GroupSimilarityDataLoader, PairsSimilarityDataLoader, SimilarityPairSample
from quaterion.loss import SimilarityLoss
from quaterion.train.class_weights import trained_class_weights
from quaterion.train.fit import fit
from quaterion.train.lightning import pl, quiet_lightning, with_ctrl_c
from quaterion.train.trainable_model import TrainableModel
from quaterion.tuning.training.head_training import TrainedHead, warmup_steps
from quaterion.tuning.training.recipe import Recipe
from quaterion_models.encoders import Encoder
from quaterion_models.heads import EncoderHead

__all__ = ["RecipeModel", "fit_recipe"]


class RecipeModel(TrainableModel):
    """A recipe over encoders as a model for `Quaterion.fit`.

    Args:
        recipe: The recipe; it has a loss.
        encoders: Encoders by name.
        num_groups: Groups in the training data.
        steps: Steps of the whole training.
        cache: Folder of the encoders' vectors; None for memory.
    """

    def __init__(
        self, recipe: Recipe, encoders: Mapping[str, Encoder], *, num_groups: int, steps: int, cache: Path | None
    ) -> None:
        self._recipe, self._encoders, self._num_groups, self._cache = recipe, dict(encoders), num_groups, cache
        self.lr, self.weight_decay = recipe.lr, recipe.weight_decay
        self.encoder_lr = recipe.encoder_lr if recipe.trainable_layers else None
        self.warmup_steps, self.lr_schedule = warmup_steps(recipe, steps), "cosine"
        super().__init__()

    def configure_encoders(self) -> dict[str, Encoder]:
        """The encoders that were given."""
        return self._encoders

    def configure_head(self, input_embedding_size: int) -> EncoderHead:
        """The recipe's head."""
        return self._recipe.build_head(input_embedding_size)

    def configure_loss(self) -> SimilarityLoss:
        """The recipe's loss."""
        return self._recipe.build_loss(embedding_size=self.model.output_size, num_groups=self._num_groups)

    def configure_caches(self) -> CacheConfig:
        """Vectors are encoded once."""
        return CacheConfig(save_dir=None if self._cache is None else str(self._cache))


def fit_recipe(
    recipe: Recipe,
    encoders: Mapping[str, Encoder],
    samples: Sequence[Any],
    *,
    cache: Path | None,
    stores: Mapping[str, Any],
) -> RecipeModel:
    """Trains a recipe as a program of the user's own would.

    Args:
        recipe: The recipe.
        encoders: Encoders by name.
        samples: What to learn from.
        cache: Folder of the encoders' vectors; None for memory.
        stores: Vectors by encoder that are known already.

    Returns:
        The trained model.

    Raises:
        KeyboardInterrupt: The user stopped it.
    """
    torch.manual_seed(recipe.seed)
    pairs = isinstance(samples[0], SimilarityPairSample)
    num_groups = 1 if pairs else len({sample.group for sample in samples})
    steps = recipe.epochs * math.ceil(len(samples) / recipe.batch_size)
    model = RecipeModel(recipe, encoders, num_groups=num_groups, steps=steps, cache=cache)
    model.embedding_stores.update(stores)
    kind: Any = PairsSimilarityDataLoader if pairs else GroupSimilarityDataLoader
    with quiet_lightning():
        trainer = pl.Trainer(
            max_epochs=recipe.epochs,
            devices=1,
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
        with with_ctrl_c(trainer):
            fit(model, trainer, kind(samples, batch_size=recipe.batch_size, shuffle=True))
    return model


def trained_head_of(model: RecipeModel) -> TrainedHead:
    """What the training left.

    Args:
        model: The trained model.
    """
    head = model.model.required_head().eval()
    weights = None if model.label_index is None else trained_class_weights(model.loss, model.label_indexes)
    return TrainedHead(head, weights)
