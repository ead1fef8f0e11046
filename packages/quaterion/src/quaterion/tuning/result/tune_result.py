"""What `tune` returns: the model, how it was found, and what it brings."""

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from quaterion.cache.embedding_store import EmbeddingStore
from quaterion.eval.embedded_model import embedded_model
from quaterion.eval.report import Report
from quaterion.tuning.result.measurement import Measurement
from quaterion.tuning.result.predictor import Calibrated
from quaterion.tuning.search.decision import Gain
from quaterion.tuning.search.task import TuningTask
from quaterion.tuning.search.trial import Trial, best_first
from quaterion.tuning.training.recipe import Recipe
from quaterion.utils.counted import counted
from quaterion_models import SimilarityModel

if TYPE_CHECKING:
    from quaterion_models.predict import Classifier, Matcher

__all__ = ["TuneResult"]

FEW = 100
"""Samples below which a decision is told to rest on few: each of them is more than a point of accuracy."""


@dataclass
class TuneResult:
    """A tuned model, and what is known of it.

    Args:
        model: The model, in eval mode; that of the untouched encoder where nothing beat it.
        recipe: How its head was trained.
        encoder: Name of the encoder.
        improved: Whether the recipe beat the untouched encoder beyond noise, or was given with a head, and so is not
            compared.
        gain: By how much on parts of the training data that were held out; None where that was not measured.
        decided_on: Number of samples that were held out in this comparison.
        test: What the test set says; None where there is none.
        classifier: Tells the group of new objects; None for pairs.
        matcher: Finds pairs that match; None but for pairs with scores 0 and 1.
        calibrated: What the classifier's threshold did on objects held out.
        trials: The last trial of each candidate.
        notes: What was read, left out and held out, and how the search went.
        metric: What was maximised.
        task: The data, and how they were split.
        program: A Python program that trains the same with `TrainableModel`; a function of what was given as objects.
        recipe_file: Text of a file that `quaterion tune --recipe` trains the same from.
        seconds: What everything took.
        untouched: The encoders as they were.
        stores: Vectors of all objects by encoder, which the report is made from.
    """

    model: SimilarityModel
    recipe: Recipe
    encoder: str
    improved: bool
    gain: Gain | None
    decided_on: int
    test: Measurement | None
    classifier: "Classifier | None"
    matcher: "Matcher | None"
    calibrated: Calibrated | None
    trials: list[Trial]
    notes: list[str]
    metric: str
    task: TuningTask
    program: str
    recipe_file: str
    seconds: float
    untouched: SimilarityModel = field(repr=False)
    stores: dict[str, EmbeddingStore] = field(default_factory=dict, repr=False)

    @property
    def leaderboard(self) -> list[dict[str, Any]]:
        """All candidates, the best first; `pandas.DataFrame` takes it."""
        order = enumerate(best_first(self.trials), start=1)
        return [_leaderboard_row(place, trial, self.metric) for place, trial in order]

    @cached_property
    def report(self) -> Report:
        """The report of the model on the test set, or on the training data where there is none."""
        samples = self.task.data.test or self.task.everything()
        stores = dict(self.stores)
        models = [
            embedded_model(self.model, samples, stores=stores),
            embedded_model(self.untouched, samples, stores=None if self.recipe.trainable_layers else stores),
        ]
        part = "the test set" if self.task.data.test else "its own training data, which says little"
        title = f"{self.encoder} with {self.recipe.describe()}, on {part}"
        return Report(
            models[0],
            samples,
            before=models[1] if self.improved else None,
            title=title,
            facts={"tuning": self._facts()},
            log_progress=False,
        )

    def _facts(self) -> dict[str, str]:
        facts = {"recipe": self.recipe.describe(), "settings": self.recipe.settings(), "decided on": self._rests_on}
        if not self._rests_on and self.decided_on:
            facts["decided on"] = f"{counted(self.decided_on, 'sample')} held out from training"
        return {name: value for name, value in facts.items() if value}

    @property
    def _rests_on(self) -> str:
        """A warning where the decision rests on few samples: many groups of one object leave little to hold out."""
        if not 0 < self.decided_on < FEW:
            return ""
        return (
            f"The decision rests on {counted(self.decided_on, 'sample')}, all that can be held out: among so few, only "
            "a large gain stands out from chance."
        )

    @property
    def _verdict(self) -> str:
        if self.gain is None:
            return (
                f"No recipe was tried, so the untouched encoder is the result: {self.encoder}." if self.trials else ""
            )
        if self.improved:
            return (
                f"Chosen: {self.recipe.describe()}, over {self.encoder} ({self.metric} {self.gain.metric:+.3f} on data "
                "held out from training)."
            )
        return (
            "Nothing that was tried beats the untouched encoder beyond noise, so the untouched encoder is the result: "
            f"{self.encoder}{', with class weights beside it' if self.recipe.losses else ''}."
        )

    def __str__(self) -> str:
        names = self.task.data.group_names if self.recipe.group_names else []
        lines = [
            *self.notes,
            self._verdict,
            f"Names of groups are labelled examples, too: {len(names):,} of them." if names else "",
            self._rests_on,
            f"Test: {self.test}." if self.test is not None else "",
        ]
        return "\n".join(filter(None, lines))


def _leaderboard_row(place: int, trial: Trial, metric: str) -> dict[str, Any]:
    return {
        "place": place,
        "candidate": trial.number,
        "encoder": trial.encoder,
        "recipe": trial.recipe.describe(),
        "settings": trial.recipe.settings(),
        metric: round(trial.value, 5),
        "chosen_by": round(trial.choice, 5),
        "share_of_epochs": trial.share,
        "folds": len(trial.scores),
        "seconds": round(trial.seconds, 2),
    }
