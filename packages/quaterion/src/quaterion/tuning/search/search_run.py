"""The whole search: recipes over each of several encoders, then the best of all against the untouched encoder."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import torch

from quaterion.cache.prepare import Progress
from quaterion.tuning.search.decision import beats_chance
from quaterion.tuning.search.finals import FINALISTS, Contender, Finals
from quaterion.tuning.search.halving import INTERRUPTED, Halving
from quaterion.tuning.search.journal import Journal
from quaterion.tuning.search.outcome import Outcome, trained_outcome
from quaterion.tuning.search.space import candidates
from quaterion.tuning.search.task import TuningTask
from quaterion.tuning.search.trial import Trial, best_first
from quaterion.tuning.training.encoders import EncoderChoice
from quaterion.tuning.training.recipe import Recipe
from quaterion.tuning.training.unfreezing import Unfreezing
from quaterion.tuning.training.vectors import SampleVectors

__all__ = ["SearchRun", "Tell"]

SEARCHED = 0.6
"""Share of the budget in which recipes are tried; the rest is for the last round."""

Tell = Callable[[Sequence[Trial]], object]


class _Begun(NamedTuple):
    """What was tried over an encoder."""

    choice: EncoderChoice
    vectors: SampleVectors
    halving: Halving

    def contenders(self) -> list[Contender]:
        trials = self.halving.trials
        return [Contender(self.choice, self.vectors, trials[number]) for number in sorted(trials)]


@dataclass
class SearchRun:
    """One search.

    Args:
        task: The data.
        choices: The encoders.
        cache: Folder of their vectors; None for memory.
        journal: File of what was tried; None for none.
        device: Where encoders run and heads learn.
        progress: Opens progress bars; None for none.
        on_trial: Called with all trials after each one.
        unfreeze: Top layers of the encoders that are trained, too, under the best recipe.
    """

    task: TuningTask
    choices: list[EncoderChoice]
    cache: Path | None
    journal: Path | None
    device: torch.device
    progress: Progress | None
    on_trial: Tell
    unfreeze: int
    _trials: list[Trial] = field(default_factory=list)

    def take(self, recipe: Recipe) -> Outcome:
        """Takes a recipe as it is, with all encoders joined where there are several.

        Args:
            recipe: The recipe.
        """
        choice, vectors = self.choices[-1], self._vectors(self.choices[-1])
        calibrates = self.task.classifies or self.task.matches
        folds = self.task.check_folds(vectors) if calibrates else []
        return trained_outcome(choice, vectors, recipe, folds, cache=self.cache)

    def search(self, seconds: float, count: int) -> Outcome:
        """Tries recipes on all encoders.

        Args:
            seconds: The budget.
            count: Recipes to try on each.

        Raises:
            ValueError: The encoders' layers cannot be trained.
            KeyboardInterrupt: It was stopped before there was anything to return.
        """
        for choice in self.choices if self.unfreeze else ():
            Unfreezing(self._vectors(choice), self.cache).check(self.unfreeze)
        begun: list[_Begun] = []
        reserved, interrupted = (1 - SEARCHED) * seconds, False
        try:
            for place, choice in enumerate(self.choices):
                # Before recipes come two candidates: the encoder as it is, and the same with names of groups.
                self._search_over(choice, SEARCHED * seconds / len(self.choices), count, place * (count + 2), begun)
        except KeyboardInterrupt:
            begun = [one for one in begun if one.halving.trials]
            if not begun:
                raise
            reserved, self.unfreeze, interrupted = 0.0, 0, True
        if not begun:
            return self._nothing_to_choose_by()
        outcome = self._decide(begun, time.monotonic() + reserved)
        stopped = [one.halving.stopped for one in begun if one.halving.stopped]
        notes = [*stopped, *([INTERRUPTED] if interrupted else []), *outcome.notes]
        return replace(outcome, trials=self._trials, notes=list(dict.fromkeys(notes)))

    def _search_over(
        self, choice: EncoderChoice, seconds: float, count: int, first_number: int, begun: list[_Begun]
    ) -> None:
        """Tries recipes over one choice of encoders, which is among the `begun` ones from its first score on."""
        vectors = self._vectors(choice)
        folds = self.task.search_folds(vectors)
        if not folds or not self.task.check_folds(vectors):
            return
        journal = Journal(self.journal, "-".join(fold.digest() for fold in folds))  # encodes, which is no search
        halving = Halving(
            choice.name,
            folds,
            metric=self.task.metric,
            unseen=self.task.unseen_groups,
            journal=journal,
            deadline=time.monotonic() + seconds,
            first_number=first_number,
            tell=self._teller(),
        )
        one = _Begun(choice, vectors, halving)
        begun.append(one)
        if not self._score_untouched(halving, has_names=bool(folds[0].names)):
            begun.remove(one)
            return
        recipes = candidates(self.task.kind, num_samples=len(folds[0].train), size=vectors.size, seed=self.task.seed)
        halving.halve(list(islice(recipes, count)))

    def _teller(self) -> Tell:
        earlier = list(self._trials)

        def tell(trials: Sequence[Trial]) -> None:
            self._trials = [*earlier, *trials]
            self.on_trial(self._trials)

        return tell

    def _score_untouched(self, halving: Halving, *, has_names: bool) -> bool:
        """Scores the encoder as it is, and tells whether there is anything to compare with."""
        if self.task.has_names_only:
            num_groups = len({sample.group for sample in self.task.everything()})
            return has_names and beats_chance(halving.score_untouched(group_names=True).scores, num_groups)
        halving.score_untouched()
        if has_names:
            halving.try_group_names()
        return True

    def _decide(self, begun: Sequence[_Begun], deadline: float) -> Outcome:
        contenders = [contender for one in begun for contender in one.contenders()]
        as_they_are = [(one.vectors, one.halving.untouched) for one in begun]
        untouched = max(
            (one for one in contenders if (one.vectors, one.trial.recipe) in as_they_are),
            key=lambda one: one.trial.choice,
        )
        tried = {one.trial.number: one for one in contenders if one.trial.recipe.losses}
        finalists = [tried[trial.number] for trial in best_first([one.trial for one in tried.values()])[:FINALISTS]]
        weights = [one for one in tried.values() if one.trial.recipe.untouched and one.vectors is untouched.vectors]
        finals = Finals(self.task, deadline, self._finish_trial, self.unfreeze, self.cache)
        return finals.decide(untouched, finalists, weights[0] if weights else None)

    def _finish_trial(self, trial: Trial) -> None:
        others = [one for one in self._trials if one.number != trial.number]
        self._trials = sorted([*others, trial], key=lambda one: one.number)
        self.on_trial(self._trials)

    def _nothing_to_choose_by(self) -> Outcome:
        choice = self.choices[0]
        note = "There is too little data to hold a part out, so the encoder stays as it is."
        return Outcome(choice, self._vectors(choice), Recipe(), trials=self._trials, notes=[note])

    def _vectors(self, choice: EncoderChoice) -> SampleVectors:
        return SampleVectors(choice.encoders, cache=self.cache, device=self.device, progress=self.progress)
