"""The classifier that goes with a tuned model, calibrated on objects that its training did not see."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from quaterion.tuning.search.outcome import Outcome
from quaterion.tuning.training.fold import TrainedFold
from quaterion.tuning.training.head_training import TrainedHead
from quaterion.tuning.training.vectors import EncodedSamples
from quaterion_models import SimilarityModel
from quaterion_models.encoders import Encoder
from quaterion_models.predict import Classifier, Matcher, calibrate_confidence, calibrate_matcher, calibrate_threshold
from quaterion_models.predict.calibration import ThresholdCalibration, is_worse
from quaterion_models.predict.knn import DEFAULT_NEIGHBOURS as NEIGHBOURS
from quaterion_models.predict.knn import DEFAULT_TEMPERATURE as TEMPERATURE

__all__ = ["Calibrated", "calibrated_settings", "classifier_of", "servable_model"]

KEPT = 0.95
"""Share of the objects of known groups that the threshold for "none of these" keeps."""

MOST = 4000
"""Objects of a part that are calibrated on at the most: more take time and tell little more."""


@dataclass(frozen=True)
class Calibrated:
    """Settings of a classifier, and what they did on objects held out.

    Args:
        settings: Arguments of `Classifier`.
        known_kept: Share of objects of known groups that the threshold keeps; None where there is none.
        unknown_recognised: Share of objects that it turns away when their own group is hidden.
    """

    settings: dict[str, Any]
    known_kept: float | None = None
    unknown_recognised: float | None = None


def servable_model(encoders: dict[str, Encoder], trained: TrainedHead) -> SimilarityModel:
    """A model of encoders, a head, and class weights where there are some.

    Args:
        encoders: Encoders by name.
        trained: Head and class weights.
    """
    model = SimilarityModel(encoders, trained.head).eval()
    if trained.class_weights is not None:
        model.class_weights = trained.class_weights
        model.labels = list(trained.class_weights.labels)
    return model


def classifier_of(model: SimilarityModel, examples: EncodedSamples, settings: dict[str, Any]) -> Classifier:
    """A classifier by labelled examples, and by the model's class weights where it has some.

    Args:
        model: The model.
        examples: Labelled examples.
        settings: Arguments of `Classifier`.
    """
    index = examples.label_index()
    embeddings = examples.embed(model.required_head())[0].cpu()
    method = "knn" if model.class_weights is None else "both"
    return Classifier(
        model, index.labels, examples=embeddings, groups=index(examples.groups), **{"method": method, **settings}
    )


def default_settings() -> dict[str, Any]:
    """Settings of a classifier that nothing was calibrated for."""
    return {"k": NEIGHBOURS, "temperature": TEMPERATURE}


def calibrated_settings(outcome: Outcome) -> Calibrated:
    """Calibrates on the parts that were held out: every part has a say, and is judged by the others' choice too.

    Args:
        outcome: What the search found.
    """
    held_out = []
    for fold in outcome.folds:
        rest, model = fold.held_out, servable_model(outcome.choice.encoders, fold.head)
        classifier = classifier_of(model, fold.train, default_settings())
        known = set(classifier.labels)
        kept = [place for place, sample in enumerate(rest.samples) if sample.group in known]
        kept = kept[:: math.ceil(len(kept) / MOST) or 1]
        embeddings, labels = rest.embed(fold.head.head)[0].cpu()[kept], [rest.samples[place].group for place in kept]
        if labels and len(classifier.labels) > 1:
            held_out.append((classifier, embeddings, labels))
    if not held_out:
        return Calibrated(default_settings())
    best = _best_settings(held_out)
    thresholds = [calibrate_threshold(*one, keep=KEPT) for one in held_out]
    return Calibrated(
        {**best, "threshold": _mean(thresholds, "threshold")},
        _mean(thresholds, "known_kept"),
        _mean(thresholds, "unknown_recognised"),
    )


def matcher_of(model: SimilarityModel, folds: Sequence[TrainedFold]) -> Matcher | None:
    """A matcher with the threshold of the best F1 on pairs that were held out; None where none of them matches.

    Args:
        model: The model.
        folds: Parts that hold pairs out, and the recipe's heads for them.
    """
    similarities, matches = [], []
    for fold in folds:
        anchors, partners = fold.held_out.embed(fold.head.head)[:2]
        similarities.append(F.cosine_similarity(anchors, partners).cpu())
        matches.append(torch.tensor([sample.score > 0 for sample in fold.held_out.samples]))
    if not matches or not bool(torch.cat(matches).any()):
        return None
    found = calibrate_matcher(torch.cat(similarities), torch.cat(matches))
    return Matcher(model, found.threshold, calibration=found)


def _mean(found: Sequence[ThresholdCalibration], name: str) -> float:
    return float(sum(getattr(one, name) * one.objects for one in found) / sum(one.objects for one in found))


_HeldOut = tuple[Classifier, Tensor, list[Any]]


def _best_settings(held_out: Sequence[_HeldOut]) -> dict[str, Any]:
    """The settings of the highest likelihood among those that are right as often as the usual ones.

    Confidence alone would rather ask more neighbours, and so be wrong more often.
    """
    found = [calibrate_confidence(*one).settings for one in held_out]
    nominees = [default_settings()]
    for settings in [*found, *({**one, "k": NEIGHBOURS} for one in found if "k" in one)]:
        if settings not in nominees:
            nominees.append(settings)
    judged = [
        [torch.cat(parts) for parts in zip(*(_judged(one, s) for one in held_out), strict=True)] for s in nominees
    ]
    usual = judged[0][1]
    allowed = [place for place, (_, right) in enumerate(judged) if not is_worse(right, usual)]
    return nominees[max(allowed, key=lambda place: float(judged[place][0].sum()))]


def _judged(one: _HeldOut, settings: dict[str, Any]) -> tuple[Tensor, Tensor]:
    """Of each object the logarithm of its own group's probability, and whether that is the most probable group."""
    classifier, embeddings, labels = one
    probabilities, places = classifier.replace(**settings).probabilities(embeddings), classifier.label_places(labels)
    own = probabilities.gather(1, places[:, None]).squeeze(1)
    return own.double().clamp(min=1e-3).log(), probabilities.argmax(dim=1) == places


def is_correct(classifier: Classifier, embeddings: Tensor, labels: Sequence[Any]) -> Tensor:
    """Whether each object's most probable group is its own; of a group that nobody labelled, none is.

    Args:
        classifier: The classifier.
        embeddings: `[Q, D]`.
        labels: The label of each.

    Returns:
        bool `[Q]`.
    """
    taken = classifier.probabilities(embeddings).argmax(dim=1).tolist()
    return torch.tensor([classifier.labels[place] == label for place, label in zip(taken, labels, strict=True)])
