"""What a search found, before anything is trained on all the data."""

from dataclasses import dataclass

from quaterion.tuning.decision import Gain
from quaterion.tuning.encoders import EncoderChoice
from quaterion.tuning.recipe import Recipe
from quaterion.tuning.search import Fold, Trial
from quaterion.tuning.training import TrainedHead
from quaterion.tuning.unfreezing import Unfreezing
from quaterion.tuning.vectors import SampleVectors

__all__ = ["Outcome"]


@dataclass(frozen=True)
class Outcome:
    """What a search decided.

    Args:
        choice: The encoders.
        vectors: What encodes the samples with them.
        recipe: The recipe; that of the untouched encoder where nothing beat it.
        trials: The last trial of each candidate.
        gain: How the best recipe compares with the untouched encoder; None where that was not measured.
        notes: Why the search ended early, and the like.
        folds: Parts of the data that the recipe was compared on; together they hold out everything once.
        heads: The recipe's head for each of these folds.
        unfreezing: What trains the encoders' top layers, where the recipe does.
    """

    choice: EncoderChoice
    vectors: SampleVectors
    recipe: Recipe
    trials: list[Trial]
    gain: Gain | None
    notes: list[str]
    folds: list[Fold]
    heads: list[TrainedHead]
    unfreezing: Unfreezing | None = None
