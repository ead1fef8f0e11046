"""What a search found, before anything is trained on all the data."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from quaterion.tuning.search.decision import Gain
from quaterion.tuning.search.scoring import Score
from quaterion.tuning.search.trial import Trial
from quaterion.tuning.training.encoders import EncoderChoice
from quaterion.tuning.training.fold import Fold, TrainedFold, train_on
from quaterion.tuning.training.recipe import Recipe
from quaterion.tuning.training.unfreezing import Unfreezing
from quaterion.tuning.training.vectors import SampleVectors

__all__ = ["Outcome"]


@dataclass(frozen=True)
class Outcome:
    """What a search decided.

    Args:
        choice: The encoders.
        vectors: What encodes the samples with them.
        recipe: The recipe; that of the untouched encoder where nothing beat it.
        folds: The recipe's head for each of the parts that it was compared on; together they hold out everything once.
        unfreezing: What trains the encoders' top layers, where the recipe does.
        trials: The last trial of each candidate.
        scores: Of these heads; none where they were not compared.
        gain: How the best recipe compares with the untouched encoder; None where that was not measured.
        notes: Sentences: why the search ended early, and the like.
    """

    choice: EncoderChoice
    vectors: SampleVectors
    recipe: Recipe
    folds: list[TrainedFold] = field(default_factory=list)
    unfreezing: Unfreezing | None = None
    trials: list[Trial] = field(default_factory=list)
    scores: list[Score] = field(default_factory=list)
    gain: Gain | None = None
    notes: list[str] = field(default_factory=list)


def trained_outcome(
    choice: EncoderChoice, vectors: SampleVectors, recipe: Recipe, folds: Sequence[Fold], *, cache: Path | None
) -> Outcome:
    """Trains a recipe on each of several parts.

    Args:
        choice: The encoders.
        vectors: What encodes with them.
        recipe: The recipe.
        folds: The parts; may be none.
        cache: Folder of what frozen layers give; None for memory.
    """
    if not recipe.trainable_layers:
        return Outcome(choice, vectors, recipe, [train_on(recipe, fold) for fold in folds])
    unfreezing = Unfreezing(vectors, cache)
    return Outcome(choice, vectors, recipe, [unfreezing.train_on(recipe, fold) for fold in folds], unfreezing)
