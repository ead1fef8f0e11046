"""Successive halving: many recipes for a few epochs, the better ones for more."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from quaterion.tuning.decision import gain_over
from quaterion.tuning.journal import Journal
from quaterion.tuning.recipe import Recipe
from quaterion.tuning.scoring import Score, mean_choice, mean_score, score_head
from quaterion.tuning.training import TrainedHead, train_head
from quaterion.tuning.vectors import EncodedSamples, SampleVectors

__all__ = ["Fold", "Rung", "Search", "Trial", "score_on", "train_on"]


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

    def encoded(self, recipe: Recipe) -> tuple[EncodedSamples, EncodedSamples]:
        """Both parts, encoded.

        Args:
            recipe: What is trained on them.
        """
        key = recipe.two_sided, recipe.group_names
        if key not in self._encoded:
            train = [*self.train, *self.names] if recipe.group_names else self.train
            parts = [self.vectors.encode(part, two_sided=recipe.two_sided) for part in (train, self.held_out)]
            self._encoded[key] = (parts[0], parts[1])
        return self._encoded[key]


@dataclass(frozen=True)
class Trial:
    """One recipe and how it scored.

    Args:
        number: Its place among the candidates; 0 is the untouched encoder.
        recipe: The recipe, with the epochs that it was trained for.
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


class TimeUpError(Exception):
    """The budget is used up in the middle of a training."""


class Search:
    """Tries recipes on one encoder.

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
        """Why it ended early, if it did."""
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
            self.stopped = "the time is used up"
            return False
        shortened = recipe.with_epochs(rung.share)
        try:
            # One recipe is tried however short the time is.
            by = float("inf") if first else self._deadline
            scores, seconds = self._scores(shortened, min(rung.folds, len(self._folds)), by=by)
        except TimeUpError:
            self.stopped = "the time is used up"
            return False
        self._keep(number, recipe, rung.share, scores, seconds)
        return True

    def _scores(self, recipe: Recipe, count: int, *, by: float) -> tuple[list[Score], float]:
        scores, total = [], 0.0
        for place, fold in enumerate(self._folds[:count]):
            known = self._journal.find(recipe, place)
            if known is None:
                started = time.monotonic()
                score = score_on(train_on(recipe, fold, by=by), recipe, fold, metric=self._metric, unseen=self._unseen)
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


def train_on(recipe: Recipe, fold: Fold, *, by: float = float("inf")) -> TrainedHead:
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

    train, _ = fold.encoded(recipe)
    return train_head(recipe, train, size=fold.vectors.size, device=fold.vectors.device, check_time=check_time)


def score_on(trained: TrainedHead, recipe: Recipe, fold: Fold, *, metric: str, unseen: bool) -> Score:
    """Scores a head on the part of a fold that was held out.

    Args:
        trained: The head.
        recipe: The recipe that it was trained by.
        fold: Both parts.
        metric: The metric.
        unseen: Whether the groups held out are others than those trained on.
    """
    return score_head(trained, *fold.encoded(recipe), metric=metric, unseen=unseen)
