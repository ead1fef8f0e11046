"""What `tune` returns: the model, how it was found, and what it brings; and the folder that holds all that."""

import csv
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from quaterion.cache.embedding_store import EmbeddingStore
from quaterion.eval.embedded_model import embedded_model
from quaterion.eval.report import Report
from quaterion.tuning.counted import counted
from quaterion.tuning.decision import Gain
from quaterion.tuning.final import fit_recipe, trained_head_of
from quaterion.tuning.measurement import Measurement, measured, of_correct
from quaterion.tuning.outcome import Outcome
from quaterion.tuning.predictor import (
    Calibrated,
    calibrated_settings,
    classifier_of,
    default_settings,
    is_correct,
    matcher_of,
    servable_model,
)
from quaterion.tuning.provenance import Provenance
from quaterion.tuning.recipe import Recipe
from quaterion.tuning.scoring import score_head
from quaterion.tuning.search import Trial
from quaterion.tuning.task import TuningTask
from quaterion.tuning.training import TrainedHead, untouched_head
from quaterion.tuning.vectors import SampleVectors
from quaterion_models import SimilarityModel
from quaterion_models.saving.files import ModelFolderError
from quaterion_models.saving.model_card import CardData, CardMetric, ModelCard
from quaterion_models.saving.model_folder import is_model_folder
from quaterion_models.saving.new_folder import new_folder

if TYPE_CHECKING:
    from quaterion_models.predict import Classifier, Matcher

__all__ = ["TuneResult", "finish"]


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
        test: What the test set says; None where there is none.
        classifier: Tells the group of new objects; None for pairs.
        matcher: Finds pairs that match; None but for pairs with scores 0 and 1.
        calibrated: What the classifier's threshold did on objects held out.
        trials: The last trial of each candidate.
        notes: What was read, left out and held out, and how the search went.
        metric: What was maximised.
        task: The data, and how they were split.
        program: A Python program that trains the same with `TrainableModel`.
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
        order = sorted(self.trials, key=lambda trial: (-trial.share, -trial.choice))
        return [leaderboard_row(place, trial, self.metric) for place, trial in enumerate(order, start=1)]

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
        return Report(models[0], samples, before=models[1] if self.improved else None, title=title, log_progress=False)

    def __str__(self) -> str:
        lines = list(self.notes)
        if self.improved and self.gain is not None:
            lines.append(
                f"Chosen: {self.recipe.describe()}, over {self.encoder} ({self.metric} {self.gain.metric:+.3f} on data "
                "held out from training)."
            )
        elif self.gain is not None:
            names = ", names of groups are examples" if self.recipe.group_names else ""
            lines.append(
                "Nothing that was tried beats the untouched encoder beyond noise, so the untouched encoder is the "
                f"result: {self.encoder}{', with class weights beside it' if self.recipe.losses else ''}{names}."
            )
        elif self.trials:
            lines.append(f"No recipe was tried, so the untouched encoder is the result: {self.encoder}.")
        if self.test is not None:
            lines.append(f"Test: {self.test}.")
        return "\n".join(lines)


def leaderboard_row(place: int, trial: Trial, metric: str) -> dict[str, Any]:
    """A row of the leaderboard.

    Args:
        place: Its place.
        trial: The trial.
        metric: What was maximised.
    """
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


def finish(
    task: TuningTask, outcome: Outcome, provenance: Provenance, *, out: Path | None, started: float
) -> TuneResult:
    """Trains the chosen recipe on all the data, measures it, and writes the folder.

    Args:
        task: The data.
        outcome: What the search found.
        provenance: What `tune` was called with.
        out: Folder for the result; None to write nothing.
        started: When it began, on the clock of `time.monotonic`.
    """
    recipe, encoders = outcome.recipe, outcome.choice.encoders
    vectors = outcome.vectors
    if outcome.unfreezing is not None:
        encoders, trained = outcome.unfreezing.train(recipe, task.to_learn_from(recipe))
        vectors = outcome.unfreezing.vectors_of(encoders)
    elif recipe.losses:
        trained = trained_head_of(
            fit_recipe(
                recipe, encoders, task.to_learn_from(recipe), cache=provenance.cache, stores=outcome.vectors.stores
            )
        )
    else:
        trained = untouched_head(outcome.vectors.size)
    model = servable_model(encoders, trained)
    classifies = task.kind == "groups" and not task.unseen_groups
    calibrated = calibrated_settings(outcome) if classifies else None
    classifier = None
    if calibrated is not None:
        examples = vectors.encode(task.to_learn_from(recipe))
        classifier = classifier_of(model, examples, calibrated.settings)
    result = TuneResult(
        model=model,
        recipe=recipe,
        encoder=outcome.choice.name,
        improved=not recipe.untouched if outcome.gain is None else outcome.gain.real,
        gain=outcome.gain,
        test=_test(task, outcome, vectors, trained, classifier),
        classifier=classifier,
        matcher=matcher_of(model, outcome) if task.kind == "match pairs" else None,
        calibrated=calibrated,
        trials=outcome.trials,
        notes=[*task.data.notes, *(f"The search ended early: {note}." for note in outcome.notes)],
        metric=task.metric,
        task=task,
        program=provenance.program(recipe, outcome.choice, pairs=task.data.form != "groups"),
        recipe_file=provenance.recipe_file(recipe, outcome.choice),
        seconds=time.monotonic() - started,
        untouched=servable_model(outcome.choice.encoders, untouched_head(outcome.vectors.size)),
        stores=vectors.stores,
    )
    if out is not None:
        save_result(result, out)
    return result


def _test(
    task: TuningTask,
    outcome: Outcome,
    tuned: SampleVectors,
    trained: TrainedHead,
    classifier: "Classifier | None",
) -> Measurement | None:
    samples = task.data.test
    if not samples:
        return None
    vectors, untouched = outcome.vectors, untouched_head(outcome.vectors.size)
    if classifier is not None:
        labels = [sample.group for sample in samples]
        plain_model = servable_model(outcome.choice.encoders, untouched)
        plain = classifier_of(plain_model, vectors.encode(task.everything()), default_settings())
        scores = [
            of_correct(is_correct(one, those.encode(samples).embed(one.model.required_head())[0].cpu(), labels))
            for one, those in ((plain, vectors), (classifier, tuned))
        ]
    else:
        scores = []
        for head, those, two_sided in ((untouched, vectors, False), (trained, tuned, outcome.recipe.two_sided)):
            parts = [those.encode(part, two_sided=two_sided) for part in (task.everything(), samples)]
            scores.append(score_head(head, parts[0], parts[1], metric=task.metric, unseen=task.unseen_groups))
    return measured(task.metric, *scores, seed=task.seed)


OURS = {
    "config.json", "head.safetensors", "classes.safetensors", "encoders", "README.md", "classifier", "matcher.json",
     "leaderboard.csv", "recipe.yaml", "report.html", "train.py", "result.json",
}  # fmt: skip
"""What a result's folder holds; other files in it stay."""


def check_out(out: Path) -> None:
    """Finds out before the work begins whether the result may be written there.

    Args:
        out: The folder.

    Raises:
        ModelFolderError: There is something else than a model.
        OSError: Nothing can be written there.
    """
    if out.exists() and not out.is_dir():
        raise ModelFolderError(f"{out} is a file, expected a folder or nothing. Choose another --out.")
    if out.is_dir() and any(out.iterdir()) and not is_model_folder(out):
        raise ModelFolderError(f"{out} holds files but no saved model, so it is not replaced. Choose another --out.")


def save_result(result: TuneResult, out: Path) -> None:
    """Writes the folder, all of it or nothing.

    Args:
        result: The result.
        out: The folder; a model that is there is replaced.
    """
    with new_folder(out, is_ours=is_model_folder, ours=OURS) as folder:
        result.model.save(folder, card=_card(result))
        if result.classifier is not None:
            result.classifier.save(folder)
        if result.matcher is not None:
            result.matcher.save(folder)
        _write_leaderboard(result.leaderboard, folder / "leaderboard.csv")
        (folder / "result.json").write_text(json.dumps(_figures(result), indent=2) + "\n", encoding="utf-8")
        (folder / "recipe.yaml").write_text(result.recipe_file, encoding="utf-8")
        (folder / "train.py").write_text(result.program, encoding="utf-8")


def _write_leaderboard(rows: Sequence[dict[str, Any]], path: Path) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]) if rows else ["place"])
        writer.writeheader()
        writer.writerows(rows)


def _figures(result: TuneResult) -> dict[str, Any]:
    gain = result.gain
    calibrated = None if result.calibrated is None else vars(result.calibrated)
    return {
        "improved": result.improved,
        "encoder": result.encoder,
        "recipe": result.recipe.to_dict(),
        "metric": result.metric,
        "gain": None if gain is None else {"metric": gain.metric, "evidence": gain.evidence._asdict()},
        "test": None if result.test is None else result.test.to_dict(),
        "classifier": calibrated,
        "candidates": len(result.trials),
        "seconds": round(result.seconds, 1),
        "notes": result.notes,
    }


def _description(result: TuneResult) -> str:
    if result.improved and result.trials:
        return f"Found by a search over {counted(len(result.trials), 'candidate')}: {result.recipe.describe()}."
    if result.improved:
        return f"Trained by a recipe that was given: {result.recipe.describe()}."
    why = "" if result.gain is None else ": no head that was tried beat it beyond noise"
    return f"The encoder as it is{why}."


def _card(result: TuneResult) -> ModelCard:
    data, test = result.task.data, result.test
    parts = {"training": result.task.everything(), "test": data.test}
    card = ModelCard(
        title=f"{result.encoder}, tuned" if result.improved else result.encoder,
        description=_description(result),
        data=[
            CardData(name="labelled data", use=use, size=len(part), form=data.form)
            for use, part in parts.items()
            if part
        ],
        loss=" + ".join(part.type for part in result.recipe.losses),
        training={"recipe": result.recipe.settings()} if result.improved else {},
    )
    if test is None:
        return card
    before, after = test.before, test.after
    metric = CardMetric(
        name=test.metric,
        value=after.value,
        interval=(after.low, after.high),
        before=before.value,
        before_interval=(before.low, before.high),
    )
    return replace(card, metrics=[metric], metrics_note="In brackets: 95 % bootstrap intervals.")
