"""From labelled examples to the best head, by itself."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any

import torch

from quaterion.cache.prepare import Progress
from quaterion.dataset.files.columns import ColumnName
from quaterion.tuning.budget import seconds_of
from quaterion.tuning.data import read_tuning_data
from quaterion.tuning.decision import beats_chance
from quaterion.tuning.encoders import DEFAULT_ENCODER, EncoderChoice, encoder_choices
from quaterion.tuning.finals import FINALISTS, Contender, Finals
from quaterion.tuning.journal import Journal
from quaterion.tuning.outcome import Outcome
from quaterion.tuning.provenance import Provenance
from quaterion.tuning.recipe import Recipe
from quaterion.tuning.result import TuneResult, check_out, finish
from quaterion.tuning.search import Fold, Search, Trial
from quaterion.tuning.space import candidates
from quaterion.tuning.task import TuningTask
from quaterion.tuning.unfreezing import Unfreezing
from quaterion.tuning.vectors import SampleVectors
from quaterion.utils.numbers import is_whole_number

__all__ = ["tune"]

SEARCHED = 0.6
"""Share of the budget in which recipes are tried; the rest is for the last round."""

Tell = Callable[[Sequence[Trial]], object]


def tune(
    data: Any,
    *,
    encoder: Any = DEFAULT_ENCODER,
    text: ColumnName | None = None,
    group: ColumnName | None = None,
    anchor: ColumnName | None = None,
    positive: ColumnName | None = None,
    negatives: ColumnName | Sequence[ColumnName] | None = None,
    score: ColumnName | None = None,
    score_range: tuple[float, float] | None = None,
    validation: Any = None,
    test: Any = None,
    split: str | None = None,
    test_size: float = 0.2,
    unseen_groups: bool = False,
    skip_bad_rows: bool = False,
    budget: str | float = "30s",
    trials: int = 24,
    recipe: Recipe | None = None,
    unfreeze: int = 0,
    out: str | Path | None = None,
    cache: str | Path | None = None,
    device: str | torch.device | None = None,
    seed: int = 0,
    progress: Progress | None = None,
    on_trial: Tell = len,
) -> TuneResult:
    """Searches the best head for labelled data over frozen encoders, trains it, and measures what it brings.

    Objects are encoded once. Recipes (head, loss, optimizer) are tried on parts of the training data that are held
    out: many for a few epochs, the better ones for more. The best is compared with the untouched encoder on other
    parts. If it does not beat it beyond noise, the untouched encoder is the result. Otherwise it is trained on all the
    data but the test set, which is looked at once, in the end.

    Args:
        data: A file (CSV, TSV, JSON lines, Parquet), a frame of pandas or polars, a data set of Hugging Face, a list of
            dictionaries, or a folder of images by class.
        encoder: Name or folder of a pre-trained model, an `Encoder`, or a list: each is tried, and all joined.
        text: Column of objects that belong to groups.
        group: Column of their groups.
        anchor: Column of the first object of pairs.
        positive: Column of the second object.
        negatives: Columns of objects that are not similar to the anchor.
        score: Column of the pairs' scores.
        score_range: Lowest and highest score that the data could have.
        validation: Data to choose recipes on, like `data`; None to hold out parts of the training data.
        test: Data for the final measurement, like `data`; None to hold out `test_size` of it.
        split: Column that says of each row whether it is for train, validation or test.
        test_size: Share or number of samples for the final measurement, 0 for none.
        unseen_groups: Hold out whole groups: what counts is how well groups are told apart that training never saw.
        skip_bad_rows: Leave out rows that cannot be read.
        budget: Time for the search, such as "60s" or "10m"; encoding and the final training come on top.
        trials: Recipes to try, for each encoder.
        recipe: Train this recipe and search nothing.
        unfreeze: Top layers of each encoder that are trained along with the best head, over cached states of the layers
            below. It costs minutes, which come on top of the budget, and is the result where it is better still.
        out: Folder for the result; None to keep it in memory. What a stopped search goes on from lies beside it.
        cache: Folder that keeps the encoders' vectors; None for one beside `out`, or for memory.
        device: Where to encode and train; None for a GPU where there is one.
        seed: Seed of all that is drawn.
        progress: Opens progress bars; None for none.
        on_trial: Called with all trials after each one.

    Returns:
        The model, the leaderboard, the recipe, and what was measured.

    Raises:
        ValueError: The data or an argument cannot be used; the message says what to do.
        TypeError: An argument is of the wrong kind.
        OSError: A file cannot be read or written.
        KeyboardInterrupt: It was stopped before there was anything to return.

    Example:
        ```python
        result = quaterion.tune("tickets.csv", text="query", group="intent", budget="60s", out="support-model")
        print(result)
        result.classifier.classify(["my card does not work"])
        ```
    """
    seconds, started = seconds_of(budget), time.monotonic()
    if trials < 1:
        raise ValueError(f"trials={trials}; expected 1 or more.")
    if not is_whole_number(unfreeze) or unfreeze < 0:
        raise ValueError(f"unfreeze={unfreeze!r}; expected a number of layers, 0 or more.")
    if unfreeze and recipe is not None:
        raise ValueError(
            f"recipe and unfreeze={unfreeze} are both given. A recipe says itself which layers are trained: set its "
            "trainable_layers, and leave out unfreeze (--unfreeze)."
        )
    if out is not None:
        check_out(Path(out))
    reading = {
        "text": text,
        "group": group,
        "anchor": anchor,
        "positive": positive,
        "negatives": negatives,
        "score": score,
        "score_range": score_range,
        "validation": validation,
        "test": test,
        "split": split,
        "test_size": test_size,
        "unseen_groups": unseen_groups,
        "skip_bad_rows": skip_bad_rows,
        "seed": seed,
    }
    read = read_tuning_data(data, **reading)
    choices = encoder_choices(encoder, images=_is_folder(data))
    beside = None if out is None else Path(f"{out}.tuning")
    if beside is not None:
        beside.mkdir(parents=True, exist_ok=True)
    run = _Run(
        TuningTask(read, unseen_groups, seed),
        choices,
        cache=Path(cache) if cache is not None else None if beside is None else beside / "cache",
        journal=None if beside is None else beside / "trials.jsonl",
        device=torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu")),
        progress=progress,
        on_trial=on_trial,
        unfreeze=unfreeze,
    )
    found = run.search(seconds, trials) if recipe is None else run.take(recipe)
    provenance = Provenance(
        data, reading, {"budget": budget, "trials": trials, "unfreeze": unfreeze, "seed": seed}, run.cache
    )
    return finish(run.task, found, provenance, out=None if out is None else Path(out), started=started)


@dataclass
class _Run:
    """One search over all encoders."""

    task: TuningTask
    choices: list[EncoderChoice]
    cache: Path | None
    journal: Path | None
    device: torch.device
    progress: Progress | None
    on_trial: Tell
    unfreeze: int
    trials: list[Trial] = field(default_factory=list)

    def take(self, recipe: Recipe) -> Outcome:
        """Takes a recipe as it is."""
        finals = Finals(self.task, time.monotonic(), self._finish_trial, cache=self.cache)
        return finals.outcome(self.choices[-1], self._vectors(self.choices[-1]), recipe)

    def search(self, seconds: float, count: int) -> Outcome:
        """Tries recipes on all encoders."""
        searches: list[tuple[EncoderChoice, SampleVectors, Search]] = []
        notes: list[str] = []
        reserved = (1 - SEARCHED) * seconds
        for choice in self.choices if self.unfreeze else ():
            Unfreezing(choice, self._vectors(choice), self.cache).check(self.unfreeze)
        try:
            for place, choice in enumerate(self.choices):
                vectors = self._vectors(choice)
                folds = self.task.search_folds(vectors)
                if not folds or not self.task.check_folds(vectors):
                    continue
                for fold in folds:
                    fold.encoded(Recipe())  # encoding is not the search's time
                share = SEARCHED * seconds / len(self.choices)
                one = self._search_of(choice, folds, time.monotonic() + share, first=place * (count + 2))
                searches.append((choice, vectors, one))
                if not self._score_untouched(one, has_names=bool(folds[0].names)):
                    searches.pop()
                    continue
                self._try_recipes(one, vectors, folds, count)
                if one.stopped and one.stopped not in notes:
                    notes.append(one.stopped)
        except KeyboardInterrupt:
            searches = [search for search in searches if search[2].trials]
            if not searches:
                raise
            notes.append("it was interrupted")
            reserved, self.unfreeze = 0.0, 0
        if not searches:
            return self._nothing_to_choose_by(self.choices[0], self._vectors(self.choices[0]))
        outcome = self._decide(searches, time.monotonic() + reserved)
        return replace(outcome, trials=self.trials, notes=[*notes, *outcome.notes])

    def _search_of(self, choice: EncoderChoice, folds: Sequence[Fold], deadline: float, *, first: int) -> Search:
        earlier = list(self.trials)

        def tell(trials: Sequence[Trial]) -> None:
            self.trials = [*earlier, *trials]
            self.on_trial(self.trials)

        return Search(
            choice.name,
            folds,
            metric=self.task.metric,
            unseen=self.task.unseen_groups,
            journal=Journal(self.journal, _digest(folds)),
            deadline=deadline,
            first_number=first,
            tell=tell,
        )

    def _score_untouched(self, search: Search, *, has_names: bool) -> bool:
        """Scores the encoder as it is, and tells whether there is anything to compare with."""
        if self.task.has_names_only:
            num_groups = len({sample.group for sample in self.task.everything()})
            return has_names and beats_chance(search.score_untouched(group_names=True).scores, num_groups)
        search.score_untouched()
        if has_names:
            search.try_group_names()
        return True

    def _try_recipes(self, search: Search, vectors: SampleVectors, folds: Sequence[Fold], count: int) -> None:
        recipes = candidates(self.task.kind, num_samples=len(folds[0].train), size=vectors.size, seed=self.task.seed)
        search.halve(list(islice(recipes, count)))

    def _decide(self, searches: Sequence[tuple[EncoderChoice, SampleVectors, Search]], deadline: float) -> Outcome:
        contenders = [
            Contender(choice, vectors, trial)
            for choice, vectors, one in searches
            for trial in sorted(one.trials.values(), key=lambda trial: trial.number)
        ]
        as_they_are = [(vectors, one.untouched) for _, vectors, one in searches]
        untouched = [one for one in contenders if (one.vectors, one.trial.recipe) in as_they_are]
        tried = [one for one in contenders if one.trial.recipe.losses]
        finals = Finals(self.task, deadline, self._finish_trial, self.unfreeze, self.cache)
        best_untouched = max(untouched, key=lambda one: one.trial.choice)
        finalists = sorted(tried, key=lambda one: (-one.trial.share, -one.trial.choice))[:FINALISTS]
        own = [one for one in tried if one.trial.recipe.untouched and one.vectors is best_untouched.vectors]
        return finals.decide(best_untouched, finalists, own[0] if own else None)

    def _finish_trial(self, trial: Trial) -> None:
        others = [one for one in self.trials if one.number != trial.number]
        self.trials = sorted([*others, trial], key=lambda one: one.number)
        self.on_trial(self.trials)

    def _nothing_to_choose_by(self, choice: EncoderChoice, vectors: SampleVectors) -> Outcome:
        note = "there is too little data to hold a part out, so the encoder stays as it is"
        return Outcome(choice, vectors, Recipe(), self.trials, None, [note], [], [])

    def _vectors(self, choice: EncoderChoice) -> SampleVectors:
        return SampleVectors(choice.encoders, cache=self.cache, device=self.device, progress=self.progress)


def _is_folder(data: Any) -> bool:
    return isinstance(data, str | Path) and Path(data).is_dir()


def _digest(folds: Sequence[Fold]) -> str:
    """What scores on these parts depend on: vectors, and the targets of each part."""
    return "-".join(part.digest() for fold in folds for part in fold.encoded(Recipe()))
