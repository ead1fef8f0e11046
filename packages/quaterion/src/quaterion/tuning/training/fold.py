"""A part of the data to learn from with a part to score on, and a head that was trained on one of them."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from quaterion.tuning.training.head_training import TrainedHead, train_head
from quaterion.tuning.training.recipe import Recipe
from quaterion.tuning.training.vectors import EncodedSamples, SampleVectors

__all__ = ["Fold", "TimeUpError", "TrainedFold", "train_on"]


class TimeUpError(Exception):
    """The time is up in the middle of a training."""


@dataclass
class Fold:
    """A part to learn from and a part to score on.

    Args:
        vectors: What encodes them.
        train: Samples to learn from.
        held_out: Samples to score on.
        names: Names of groups as samples, for recipes that learn from them, too.
    """

    vectors: SampleVectors
    train: Sequence[object]
    held_out: Sequence[object]
    names: Sequence[object] = ()
    _encoded: dict[tuple[bool, bool], tuple[EncodedSamples, EncodedSamples]] = field(default_factory=dict)

    def to_learn_from(self, recipe: Recipe) -> list[object]:
        """Samples that a recipe learns from.

        Args:
            recipe: The recipe.
        """
        return [*self.train, *(self.names if recipe.group_names else ())]

    def encoded(self, recipe: Recipe) -> tuple[EncodedSamples, EncodedSamples]:
        """Both parts, encoded.

        Args:
            recipe: What is trained on them.
        """
        key = recipe.two_sided, recipe.group_names
        if key not in self._encoded:
            self._encoded[key] = self.encoded_by(self.vectors, recipe)
        return self._encoded[key]

    def encoded_by(self, vectors: SampleVectors, recipe: Recipe) -> tuple[EncodedSamples, EncodedSamples]:
        """Both parts, encoded by other encoders.

        Args:
            vectors: What encodes them.
            recipe: What is trained on them.
        """
        train, held_out = (
            vectors.encode(part, two_sided=recipe.two_sided) for part in (self.to_learn_from(recipe), self.held_out)
        )
        return train, held_out

    def digest(self) -> str:
        """A digest of what scores depend on beside the recipe: vectors and targets of both parts, and of names."""
        recipes = [Recipe(), *([Recipe(group_names=True)] if self.names else [])]
        return "-".join(part.digest() for recipe in recipes for part in self.encoded(recipe))


@dataclass(frozen=True)
class TrainedFold:
    """A head, with vectors of what it learned from and of what it is scored on; their encoders are not needed again.

    Args:
        train: Samples that it learned from.
        held_out: Samples to score it on.
        head: The head.
    """

    train: EncodedSamples
    held_out: EncodedSamples
    head: TrainedHead


def train_on(recipe: Recipe, fold: Fold, *, by: float = float("inf")) -> TrainedFold:
    """Trains a head on the part of a fold that is to learn from.

    Args:
        recipe: The recipe.
        fold: Both parts.
        by: When to give up, on the clock of `time.monotonic`.

    Raises:
        TimeUpError: The time was up.
    """

    def check_time() -> None:
        if time.monotonic() >= by:
            raise TimeUpError

    train, held_out = fold.encoded(recipe)
    vectors = fold.vectors
    head = train_head(recipe, train, size=vectors.size, device=vectors.device, check_time=check_time)
    return TrainedFold(train, held_out, head)
