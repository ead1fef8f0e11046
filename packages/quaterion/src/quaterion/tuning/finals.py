"""The last round: the best recipes on parts that together hold out everything once, against the untouched encoder."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from quaterion.tuning.decision import gain_over
from quaterion.tuning.encoders import EncoderChoice
from quaterion.tuning.outcome import Outcome
from quaterion.tuning.recipe import Recipe
from quaterion.tuning.scoring import Score, mean_choice
from quaterion.tuning.search import Trial, score_on, train_on
from quaterion.tuning.task import TuningTask
from quaterion.tuning.unfreezing import Unfreezing, unfrozen_recipe
from quaterion.tuning.vectors import SampleVectors

__all__ = ["FINALISTS", "Contender", "Finals"]

FINALISTS = 3
UNFROZEN = -1
"""Number of the candidate whose layers are trained, which no search has tried."""


@dataclass(frozen=True)
class Contender:
    """A trial of the search, with what encodes its samples.

    Args:
        choice: The encoders.
        vectors: What encodes with them.
        trial: The trial.
    """

    choice: EncoderChoice
    vectors: SampleVectors
    trial: Trial


@dataclass
class Finals:
    """Decides between recipes, and whether any of them is better than none.

    Args:
        task: The data.
        deadline: When to stop with what there is, on the clock of `time.monotonic`.
        tell: Called with the trial of each contender when it is scored.
        unfreeze: Top layers of the encoders that are trained, too, under the best recipe, where that is better still.
        cache: Folder of what the frozen layers give; None for memory.
    """

    task: TuningTask
    deadline: float
    tell: Callable[[Trial], object]
    unfreeze: int = 0
    cache: Path | None = None

    def decide(
        self, untouched: Contender, finalists: Sequence[Contender], classifier: Contender | None = None
    ) -> Outcome:
        """Trains every finalist for all its epochs on each part.

        The best must beat the untouched encoder with an interval that is wider the more finalists there were, since the
        best of three looks better than it is.

        Args:
            untouched: The untouched encoder.
            finalists: The best of the search, the best first.
            classifier: Class weights over the untouched encoder, where there are some to fall back on: embeddings stay
                as they are, so it is enough that they tell groups better.

        Returns:
            The best finalist where it is better, else the untouched encoder.

        Raises:
            KeyboardInterrupt: It was stopped before the first finalist was scored.
        """
        before, plain = self.score(untouched)
        best: Outcome | None = None
        best_scores: list[Score] = []
        scored = 0
        notes = []
        for contender in finalists:
            if best is not None and time.monotonic() >= self.deadline:
                break
            try:
                outcome, scores = self.score(contender)
            except KeyboardInterrupt:
                if best is None:
                    raise
                notes.append("it was interrupted")
                break
            scored += 1
            if best is None or mean_choice(scores) > mean_choice(best_scores):
                best, best_scores = outcome, scores
        if best is None:
            return before
        gain = gain_over(plain, best_scores, metric=self.task.metric, comparisons=scored, seed=self.task.seed)
        chosen, chosen_scores = (best, best_scores) if gain.real else (before, plain)
        try:
            if classifier is not None and not gain.real:
                outcome, scores = self.score(classifier)
                if mean_choice(scores) > mean_choice(plain):
                    chosen, chosen_scores = outcome, scores
            if self.unfreeze and not notes:
                outcome, scores = self.score(self._unfrozen(best))
                after = gain_over(plain, scores, metric=self.task.metric, comparisons=scored + 1, seed=self.task.seed)
                further = gain_over(chosen_scores, scores, metric=self.task.metric, seed=self.task.seed)
                if after.real and further.real:
                    chosen, gain = outcome, after
        except KeyboardInterrupt:
            notes.append("it was interrupted")
        return replace(chosen, gain=gain, notes=notes)

    def _unfrozen(self, best: Outcome) -> Contender:
        """The best recipe with layers of the encoders trained, too."""
        recipe = unfrozen_recipe(best.recipe, self.unfreeze, len(self.task.to_learn_from(best.recipe)))
        trial = Trial(UNFROZEN, recipe, best.choice.name, 1.0, [], 0.0)
        return Contender(best.choice, best.vectors, trial)

    def unfreezing(self, choice: EncoderChoice, vectors: SampleVectors) -> Unfreezing:
        """What trains layers of encoders.

        Args:
            choice: The encoders.
            vectors: What encodes with them as they are.
        """
        return Unfreezing(choice, vectors, self.cache)

    def score(self, contender: Contender) -> tuple[Outcome, list[Score]]:
        """Trains a contender's recipe on each part, and scores it on what the part holds out.

        Args:
            contender: The contender.
        """
        started, recipe = time.monotonic(), contender.trial.recipe
        outcome = self.outcome(contender.choice, contender.vectors, recipe)
        options: dict[str, Any] = {"metric": self.task.metric, "unseen": self.task.unseen_groups}
        scores = [
            score_on(head, recipe, fold, **options) for head, fold in zip(outcome.heads, outcome.folds, strict=True)
        ]
        seconds = contender.trial.seconds + time.monotonic() - started
        self.tell(replace(contender.trial, share=1.0, scores=scores, seconds=seconds))
        return outcome, scores

    def outcome(self, choice: EncoderChoice, vectors: SampleVectors, recipe: Recipe) -> Outcome:
        """A recipe's heads on all parts.

        Args:
            choice: The encoders.
            vectors: What encodes with them.
            recipe: The recipe.
        """
        folds = self.task.check_folds(vectors)
        if recipe.trainable_layers:
            unfreezing = self.unfreezing(choice, vectors)
            trained = [unfreezing.train_on(recipe, fold) for fold in folds]
            folds, heads = [fold for fold, _ in trained], [head for _, head in trained]
            return Outcome(choice, vectors, recipe, [], None, [], folds, heads, unfreezing)
        return Outcome(choice, vectors, recipe, [], None, [], folds, [train_on(recipe, fold) for fold in folds])
