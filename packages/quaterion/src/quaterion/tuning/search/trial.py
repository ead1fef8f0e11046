"""One recipe that was tried, and how it scored."""

from collections.abc import Sequence
from dataclasses import dataclass

from quaterion.tuning.search.scoring import Score, mean_choice, mean_score
from quaterion.tuning.training.recipe import Recipe

__all__ = ["Trial", "best_first"]


@dataclass(frozen=True)
class Trial:
    """One recipe and how it scored.

    Args:
        number: Its place among the candidates; 0 is the untouched encoder.
        recipe: The recipe, with the epochs of its full training.
        encoder: Name of the encoder, or of the encoders that are joined.
        share: Share of the full training that it got.
        scores: One for each fold that was looked at.
        seconds: What it took.
    """

    number: int
    recipe: Recipe
    encoder: str
    share: float
    scores: Sequence[Score]
    seconds: float

    @property
    def value(self) -> float:
        """The metric, mean over the folds."""
        return mean_score(self.scores)

    @property
    def choice(self) -> float:
        """What it is chosen by; larger is better."""
        return mean_choice(self.scores)


def best_first(trials: Sequence[Trial]) -> list[Trial]:
    """Trials in the order of a leaderboard: those of more epochs first, for the others were not compared with them.

    Args:
        trials: The trials.
    """
    return sorted(trials, key=lambda trial: (-trial.share, -trial.choice))
