"""From what a search found to the result: the final training, the classifier or matcher, and the test."""

import time
from pathlib import Path

from quaterion.tuning.result.measurement import Measurement, measured, of_correct
from quaterion.tuning.result.predictor import (
    calibrated_settings,
    classifier_of,
    default_settings,
    is_correct,
    matcher_of,
    servable_model,
)
from quaterion.tuning.result.provenance import Provenance
from quaterion.tuning.result.result_folder import save_result
from quaterion.tuning.result.tune_result import TuneResult
from quaterion.tuning.search.outcome import Outcome
from quaterion.tuning.search.scoring import score_fold
from quaterion.tuning.search.task import TuningTask
from quaterion.tuning.training.fit_recipe import fit_recipe, trained_head_of
from quaterion.tuning.training.fold import TrainedFold
from quaterion.tuning.training.head_training import TrainedHead, untouched_head
from quaterion.tuning.training.vectors import SampleVectors
from quaterion_models.encoders import Encoder
from quaterion_models.predict import Classifier

__all__ = ["finish"]


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
    recipe, plain_head = outcome.recipe, untouched_head(outcome.vectors.size)
    encoders, vectors, trained = _train(task, outcome, provenance.cache)
    model = servable_model(encoders, trained)
    calibrated = calibrated_settings(outcome) if task.classifies else None
    classifier = None
    if calibrated is not None:
        classifier = classifier_of(model, vectors.encode(task.to_learn_from(recipe)), calibrated.settings)
    program = provenance.program(recipe, outcome.choice, pairs=task.data.form != "groups")
    result = TuneResult(
        model=model,
        recipe=recipe,
        encoder=outcome.choice.name,
        improved=not recipe.untouched if outcome.gain is None else outcome.gain.real,
        gain=outcome.gain,
        decided_on=sum(score.count for score in outcome.scores),
        test=_test(task, outcome, vectors, trained, classifier),
        classifier=classifier,
        matcher=matcher_of(model, outcome.folds) if task.matches else None,
        calibrated=calibrated,
        trials=outcome.trials,
        notes=[*task.data.notes, *outcome.notes, *program.notes()],
        metric=task.metric,
        task=task,
        program=program.text,
        recipe_file=provenance.recipe_file(recipe, outcome.choice),
        seconds=time.monotonic() - started,
        untouched=servable_model(outcome.choice.encoders, plain_head),
        stores=vectors.stores,
    )
    if out is not None:
        save_result(result, out)
    return result


def _train(
    task: TuningTask, outcome: Outcome, cache: Path | None
) -> tuple[dict[str, Encoder], SampleVectors, TrainedHead]:
    """The final training: encoders, what encodes with them, and the head."""
    recipe, encoders, vectors = outcome.recipe, outcome.choice.encoders, outcome.vectors
    samples = task.to_learn_from(recipe)
    if outcome.unfreezing is not None:
        encoders, trained = outcome.unfreezing.train(recipe, samples)
        return encoders, outcome.unfreezing.vectors_of(encoders), trained
    if not recipe.losses:
        return encoders, vectors, untouched_head(vectors.size)
    return encoders, vectors, trained_head_of(fit_recipe(recipe, encoders, samples, cache=cache, stores=vectors.stores))


def _test(
    task: TuningTask,
    outcome: Outcome,
    tuned: SampleVectors,
    trained: TrainedHead,
    classifier: Classifier | None,
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
            fold = TrainedFold(parts[0], parts[1], head)
            scores.append(score_fold(fold, metric=task.metric, unseen=task.unseen_groups))
    return measured(task.metric, *scores, seed=task.seed)
