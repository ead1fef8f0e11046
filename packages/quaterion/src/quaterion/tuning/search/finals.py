"""The last round: the best recipes on parts that together hold out everything once, against the untouched encoder."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from quaterion.tuning.search.decision import Gain, gain_over
from quaterion.tuning.search.halving import INTERRUPTED
from quaterion.tuning.search.outcome import Outcome, trained_outcome
from quaterion.tuning.search.scoring import mean_choice, score_fold
from quaterion.tuning.search.task import TuningTask
from quaterion.tuning.search.trial import Trial
from quaterion.tuning.training.encoders import EncoderChoice
from quaterion.tuning.training.unfreezing import unfrozen_recipe
from quaterion.tuning.training.vectors import SampleVectors

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
        before = self.score(untouched)
        scored, notes = self._scored(finalists)
        if not scored:
            return before
        best = max(scored, key=_merit)
        gain = self._gain(before, best, comparisons=len(scored))
        chosen = best if gain.real else before
        try:
            if classifier is not None and not gain.real:
                chosen = max(before, self.score(classifier), key=_merit)
            if self.unfreeze and not notes:
                unfrozen = self.score(self._unfrozen(best))
                after = self._gain(before, unfrozen, comparisons=len(scored) + 1)
                if after.real and self._gain(chosen, unfrozen).real:
                    chosen, gain = unfrozen, after
        except KeyboardInterrupt:
            notes.append(INTERRUPTED)
        return replace(chosen, gain=gain, notes=notes)

    def _scored(self, finalists: Sequence[Contender]) -> tuple[list[Outcome], list[str]]:
        """Scores one finalist, and the others as far as time allows; says whether it was interrupted."""
        scored: list[Outcome] = []
        for contender in finalists:
            if scored and time.monotonic() >= self.deadline:
                break
            try:
                scored.append(self.score(contender))
            except KeyboardInterrupt:
                if not scored:
                    raise
                return scored, [INTERRUPTED]
        return scored, []

    def _gain(self, before: Outcome, after: Outcome, *, comparisons: int = 1) -> Gain:
        return gain_over(
            before.scores, after.scores, metric=self.task.metric, comparisons=comparisons, seed=self.task.seed
        )

    def _unfrozen(self, best: Outcome) -> Contender:
        """The best recipe with layers of the encoders trained, too."""
        recipe = unfrozen_recipe(best.recipe, self.unfreeze, len(self.task.to_learn_from(best.recipe)))
        trial = Trial(UNFROZEN, recipe, best.choice.name, 1.0, [], 0.0)
        return Contender(best.choice, best.vectors, trial)

    def score(self, contender: Contender) -> Outcome:
        """Trains a contender's recipe on each part, and scores it on what the part holds out.

        Args:
            contender: The contender.
        """
        started, choice, vectors = time.monotonic(), contender.choice, contender.vectors
        folds = self.task.check_folds(vectors)
        outcome = trained_outcome(choice, vectors, contender.trial.recipe, folds, cache=self.cache)
        scores = [score_fold(one, metric=self.task.metric, unseen=self.task.unseen_groups) for one in outcome.folds]
        seconds = contender.trial.seconds + time.monotonic() - started
        self.tell(replace(contender.trial, share=1.0, scores=scores, seconds=seconds))
        return replace(outcome, scores=scores)


def _merit(outcome: Outcome) -> float:
    return mean_choice(outcome.scores)
