"""Successive halving: many recipes for a few epochs, the better ones for more."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from quaterion.tuning.search.decision import gain_over
from quaterion.tuning.search.journal import Journal
from quaterion.tuning.search.scoring import Score, score_fold
from quaterion.tuning.search.trial import Trial
from quaterion.tuning.training.fold import Fold, TimeUpError, train_on
from quaterion.tuning.training.recipe import Recipe

__all__ = ["Halving", "Rung"]


@dataclass(frozen=True)
class Rung:
    """One round of halving.

    Args:
        share: Share of its epochs that each recipe is trained for.
        keep: Share of the candidates that get here.
        time: Share of the budget that may be used up when it ends.
        folds: Most folds that it looks at.
    """

    share: float
    keep: float
    time: float
    folds: int


RUNGS = (Rung(0.2, 1.0, 0.55, 2), Rung(0.5, 1 / 3, 1.0, 3))
"""The whole training follows in `finals.py`, on other parts."""

TIME_IS_UP = "The search ended early: the time is used up."
INTERRUPTED = "The search ended early: it was interrupted."


class Halving:
    """Tries recipes over one encoder, or several that are joined.

    Args:
        encoder: Its name, for tables.
        folds: What to train and score on; one at least.
        metric: One of `scoring.METRICS`' values.
        unseen: Whether the groups held out are others than those trained on.
        journal: What was tried before.
        deadline: When to stop, on the clock of `time.monotonic`.
        first_number: Number of the first candidate.
        tell: Called with all trials after each one.
    """

    def __init__(
        self,
        encoder: str,
        folds: Sequence[Fold],
        *,
        metric: str,
        unseen: bool,
        journal: Journal,
        deadline: float,
        first_number: int = 0,
        tell: Callable[[Sequence[Trial]], object] = len,
    ) -> None:
        self._encoder, self._folds = encoder, folds
        self._metric, self._unseen, self._journal = metric, unseen, journal
        self._start, self._deadline = time.monotonic(), deadline
        self._number, self._tell = first_number, tell
        self.trials: dict[int, Trial] = {}
        """The last trial of each candidate, by number."""
        self.stopped = ""
        """A sentence why it ended early, if it did."""
        self.untouched = Recipe()
        """The recipe of candidate 0, the encoder as it is."""

    def score_untouched(self, *, group_names: bool = False) -> Trial:
        """Scores the encoder as it is: candidate 0 of the encoder.

        Args:
            group_names: Names of groups are examples in any case, because there is nothing else to learn from.
        """
        self.untouched = Recipe(group_names=group_names)
        return self._score_untouched(self._number, self.untouched)

    def try_group_names(self) -> bool:
        """Scores the encoder as it is with names of groups as further examples, and keeps them where that is better
        beyond noise.

        Returns:
            Whether it is.
        """  # noqa: D205
        before, named = self.trials[self._number], Recipe(group_names=True)
        after = self._score_untouched(self._number + 1, named)
        better = gain_over(before.scores, after.scores, metric=self._metric).real
        self.untouched = named if better else self.untouched
        return better

    def _score_untouched(self, number: int, recipe: Recipe) -> Trial:
        scores, seconds = self._scores(recipe, len(self._folds), by=float("inf"))
        return self._keep(number, recipe, 1.0, scores, seconds)

    def halve(self, recipes: Sequence[Recipe]) -> None:
        """Runs all rungs over recipes, as far as time allows.

        Args:
            recipes: The candidates; they learn from names of groups where `untouched` does.
        """
        recipes = [replace(recipe, group_names=self.untouched.group_names) for recipe in recipes]
        first = max(self.trials, default=self._number - 1) + 1
        left = dict(enumerate(recipes, start=first))
        for rung in RUNGS:
            kept = max(1, round(len(recipes) * rung.keep))
            order = sorted(left, key=lambda one: -self.trials[one].choice if one in self.trials else 0)
            left = {one: left[one] for one in order[:kept]}
            for number, recipe in left.items():
                if not self._try(number, recipe, rung):
                    break
            # Those that were not reached in time do not go on.
            left = {one: recipe for one, recipe in left.items() if one in self.trials}
            if not left or time.monotonic() >= self._deadline:
                break

    def _try(self, number: int, recipe: Recipe, rung: Rung) -> bool:
        by = self._start + rung.time * (self._deadline - self._start)
        first = not any(trial.recipe.losses for trial in self.trials.values())
        if time.monotonic() >= by and not first:
            self.stopped = TIME_IS_UP
            return False
        shortened = recipe.with_epochs(rung.share)
        try:
            # One recipe is tried however short the time is.
            by = float("inf") if first else self._deadline
            scores, seconds = self._scores(shortened, min(rung.folds, len(self._folds)), by=by)
        except TimeUpError:
            self.stopped = TIME_IS_UP
            return False
        self._keep(number, recipe, rung.share, scores, seconds)
        return True

    def _scores(self, recipe: Recipe, count: int, *, by: float) -> tuple[list[Score], float]:
        scores, total = [], 0.0
        for place, fold in enumerate(self._folds[:count]):
            known = self._journal.find(recipe, place)
            if known is None:
                started = time.monotonic()
                score = score_fold(train_on(recipe, fold, by=by), metric=self._metric, unseen=self._unseen)
                known = score, time.monotonic() - started
                self._journal.add(recipe, place, *known)
            scores.append(known[0])
            total += known[1]
        return scores, total

    def _keep(self, number: int, recipe: Recipe, share: float, scores: Sequence[Score], seconds: float) -> Trial:
        seconds += self.trials[number].seconds if number in self.trials else 0.0
        trial = Trial(number, recipe, self._encoder, share, scores, seconds)
        self.trials[number] = trial
        self._tell(list(self.trials.values()))
        return trial
