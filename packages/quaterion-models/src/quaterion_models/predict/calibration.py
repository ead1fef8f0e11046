"""What a classifier's threshold, temperatures and number of neighbours should be, from labelled objects held out."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import torch
from torch import Tensor

from quaterion_models.predict.knn import knn_vote

if TYPE_CHECKING:
    from quaterion_models.predict.classifier import Classifier

_C = TypeVar("_C", bound="Classifier")

NEIGHBOURS = (1, 3, 5, 10, 20, 50)
TEMPERATURES = (0.005, 0.0075, 0.01, 0.015, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.5, 1.0)
LEAST = 1e-3
"""What a probability counts as at least: none of k neighbours may be of the right group, and log 0 tells nothing."""

LOOKED_AT = 50
"""How many settings, the most likely first, are looked at for one that is right as often."""

BINS = 10


class ThresholdCalibration(NamedTuple):
    """A threshold for "none of these", and what it does.

    Attributes:
        threshold: Similarity below which an object is none of the known groups.
        known_kept: Share of the objects of known groups that it keeps.
        unknown_recognised: Share of the same objects, with their own group hidden, that it turns away.
        auroc: Probability that an object is nearer with its group known than another one with its group hidden: what
            can be had from the similarity, whatever the threshold. 0.5 is chance.
        objects: Number of objects.
    """

    threshold: float
    known_kept: float
    unknown_recognised: float
    auroc: float
    objects: int


class ConfidenceCalibration(NamedTuple):
    """Settings that make confidences agree best with what turned out to be right.

    Attributes:
        settings: `k`, `temperature` and `weights_temperature`, those that the method uses, for
            `Classifier.replace`.
        log_loss_before: Mean of -log(probability of the right group), each probability counting as 0.001 at least,
            with the classifier as it was.
        log_loss: The same with the new settings.
        ece_before: Expected calibration error of the classifier as it was: mean of |accuracy - confidence| over 10 bins
            of confidence, weighted by their objects.
        ece: The same with the new settings.
        accuracy: Share of the objects whose group is told rightly with the new settings.
    """

    settings: dict[str, Any]
    log_loss_before: float
    log_loss: float
    ece_before: float
    ece: float
    accuracy: float


class Calibration(NamedTuple):
    """What a calibration has found.

    Attributes:
        confidence: Temperatures and number of neighbours.
        threshold: The threshold; None where none was asked for.
    """

    confidence: ConfidenceCalibration
    threshold: ThresholdCalibration | None


def calibrate(
    classifier: _C, embeddings: Tensor, labels: Sequence[Any], *, keep: float | None = 0.95
) -> tuple[_C, Calibration]:
    """Calibrates confidence and threshold.

    Args:
        classifier: The classifier.
        embeddings: What its model's `encode` gives for objects that are neither among its examples nor were trained on,
            `[V, D]`.
        labels: The label of each.
        keep: Share of known objects that the threshold keeps at least; None for no threshold.

    Returns:
        The classifier with what was found, and what was found.

    Raises:
        ValueError: See `calibrate_threshold`.

    Example:
        >>> from quaterion_models import SimilarityModel
        >>> from quaterion_models.encoders import VectorEncoder
        >>> from quaterion_models.heads import EmptyHead
        >>> from quaterion_models.predict import Classifier
        >>> model = SimilarityModel(VectorEncoder(2), EmptyHead(2))
        >>> classifier = Classifier.from_examples(model, [[1.0, 0.1], [0.0, 1.0]], ["cat", "dog"])
        >>> held_out = model.encode([[3.0, 1.0], [1.0, 3.0]], to_numpy=False)
        >>> calibrated, found = calibrate(classifier, held_out, ["cat", "dog"])
        >>> found.threshold.known_kept, found.threshold.unknown_recognised, round(calibrated.threshold, 3)
        (1.0, 1.0, 0.949)
    """
    confidence = calibrate_confidence(classifier, embeddings, labels)
    threshold = None if keep is None else calibrate_threshold(classifier, embeddings, labels, keep=keep)
    value = None if threshold is None else threshold.threshold
    return classifier.replace(**confidence.settings, threshold=value), Calibration(confidence, threshold)


def calibrate_threshold(
    classifier: Classifier, embeddings: Tensor, labels: Sequence[Any], *, keep: float = 0.95
) -> ThresholdCalibration:
    """Chooses the highest threshold that keeps enough of the known objects.

    Unknown groups are simulated: each object is compared once more with all examples and class weights but those of its
    own group. Where a head was trained on that group, such objects lie farther from others than those of groups that it
    has never seen, so of these somewhat fewer are recognised.

    Args:
        classifier: The classifier.
        embeddings: What its model's `encode` gives for objects held out, `[V, D]`.
        labels: The label of each.
        keep: Share of them that must stay at least, above 0 and up to 1.

    Returns:
        The threshold, and both rates.

    Raises:
        ValueError: If there is no object, a label is not known, the classifier knows one group only, or `keep` is out
            of range.
    """
    if isinstance(keep, bool) or not isinstance(keep, int | float) or not 0 < keep <= 1:
        raise ValueError(f"keep must be the share of known objects to keep, above 0 and up to 1, got {keep!r}")
    groups = _checked_groups(classifier, embeddings, labels)
    if len(classifier.labels) < 2:
        raise ValueError(
            "the classifier knows one group only, so hiding an object's own leaves nothing to compare it with. Add "
            "another group, or set the threshold yourself"
        )
    known = classifier.nearest_similarities(embeddings).double()
    unknown = classifier.similarities_without_own(embeddings, groups).double()
    kept = max(1, -int(-(keep * len(known) - 1e-9) // 1))  # the least whole number of objects that is enough
    threshold = float(known.sort(descending=True).values[kept - 1])
    return ThresholdCalibration(
        threshold,
        known_kept=float((known >= threshold).double().mean()),
        unknown_recognised=float((unknown < threshold).double().mean()),
        auroc=_auroc(known, unknown),
        objects=len(known),
    )


def calibrate_confidence(classifier: Classifier, embeddings: Tensor, labels: Sequence[Any]) -> ConfidenceCalibration:
    """Chooses number of neighbours and temperatures from a small grid by log-loss, among those that are right as often.

    Log-loss alone would rather ask more neighbours, and so be wrong more often.

    Args:
        classifier: The classifier.
        embeddings: What its model's `encode` gives for objects held out, `[V, D]`.
        labels: The label of each.

    Returns:
        The settings, none where all that were looked at are right less often than the classifier as it is, and log-loss
        and calibration error before and with them.

    Raises:
        ValueError: If there is no object, or a label is not known.
    """
    groups = _checked_groups(classifier, embeddings, labels)
    votes = _votes(classifier, embeddings, groups) if classifier.method != "weights" else {}
    weights = _weights(classifier, embeddings, groups) if classifier.method != "knn" else {}
    losses = {
        (*vote_settings, *weight_settings): _log_loss(_combined(vote, weight))
        for (vote_settings, vote), (weight_settings, weight) in itertools.product(
            votes.items() or [((), None)], weights.items() or [((), None)]
        )
    }
    usual = classifier.probabilities(embeddings)
    settings, chosen = _most_likely(classifier, embeddings, groups, usual, sorted(losses, key=losses.__getitem__))
    before, after = _judged(usual, groups), _judged(chosen, groups)
    return ConfidenceCalibration(settings, before[0], after[0], before[1], after[1], after[2])


def _most_likely(
    classifier: Classifier, embeddings: Tensor, groups: Tensor, usual: Tensor, best_first: Sequence[Any]
) -> tuple[dict[str, Any], Tensor]:
    """The first settings that are right as often as the classifier as it is, and the probabilities that they give."""
    for settings in map(dict, best_first[:LOOKED_AT]):
        probabilities = classifier.replace(**settings).probabilities(embeddings)
        if not is_worse(probabilities.argmax(dim=1) == groups, usual.argmax(dim=1) == groups):
            return settings, probabilities
    return {}, usual


def is_worse(right: Tensor, usual: Tensor) -> bool:
    """Whether fewer are right, by more than one standard deviation of the difference (as in McNemar's test).

    Args:
        right: Whether each object's group is told rightly, bool `[V]`.
        usual: The same of what it is compared with.
    """
    lost, won = int((usual & ~right).sum()), int((right & ~usual).sum())
    return lost - won > math.sqrt(lost + won)


class _OwnGroup(NamedTuple):
    """What is said of each object's own group, `[V]` each."""

    probability: Tensor
    share: Tensor | None  # of all groups that have class weights, of votes
    has_weights: Tensor | None


def _votes(classifier: Classifier, embeddings: Tensor, groups: Tensor) -> dict[tuple[Any, ...], _OwnGroup]:
    similarities, voters = classifier.nearest_examples(embeddings, max(NEIGHBOURS))
    with_weights = None
    if classifier.method == "both":
        with_weights = classifier.weight_similarities(embeddings[:1]).isfinite().squeeze(0)  # [G]
    found = {}
    for k in [k for k in NEIGHBOURS if k <= similarities.shape[1]]:
        for temperature in TEMPERATURES:
            probabilities = knn_vote(similarities[:, :k], voters[:, :k], len(classifier.labels), temperature)
            share = None if with_weights is None else probabilities[:, with_weights].sum(dim=1)
            has_weights = None if with_weights is None else with_weights[groups]
            own = probabilities.gather(1, groups[:, None]).squeeze(1)
            found[(("k", k), ("temperature", temperature))] = _OwnGroup(own, share, has_weights)
    return found


def _weights(classifier: Classifier, embeddings: Tensor, groups: Tensor) -> dict[tuple[Any, ...], _OwnGroup]:
    similarities = classifier.weight_similarities(embeddings)
    finite = similarities[similarities.isfinite()]
    # Dot products may have any scale, cosines have one of 1.
    cosine = classifier.class_weights is not None and classifier.class_weights.cosine
    scale = 1.0 if cosine else max(float(finite.abs().amax()), 1e-6)
    found = {}
    for temperature in [scale * one for one in TEMPERATURES]:
        own = (similarities / temperature).softmax(dim=1).gather(1, groups[:, None]).squeeze(1)
        found[(("weights_temperature", temperature),)] = _OwnGroup(own, None, None)
    return found


def _combined(vote: _OwnGroup | None, weight: _OwnGroup | None) -> Tensor:
    """The probability of the own group, as `Classifier.probabilities` combines votes and class weights."""
    if vote is None or weight is None:
        only = vote or weight
        assert only is not None  # noqa: S101 - every method has one of them
        return only.probability
    assert vote.share is not None and vote.has_weights is not None  # noqa: S101, PT018 - of the method "both"
    mean = (vote.probability + vote.share * weight.probability) / 2
    return torch.where(vote.has_weights, mean, vote.probability)


def _log_loss(own: Tensor) -> float:
    return float(own.double().clamp(min=LEAST).log().neg().mean())


def _judged(probabilities: Tensor, groups: Tensor) -> tuple[float, float, float]:
    """Log-loss, expected calibration error, accuracy."""
    confidence, taken = probabilities.double().max(dim=1)
    right = (taken == groups).double()
    bins = (confidence * BINS).ceil().long().sub(1).clamp(0, BINS - 1)
    gaps = torch.bincount(bins, right - confidence, minlength=BINS).abs()
    own = probabilities.gather(1, groups[:, None]).squeeze(1)
    return _log_loss(own), float(gaps.sum() / len(groups)), float(right.mean())


def _auroc(known: Tensor, unknown: Tensor) -> float:
    """Share of pairs of a known and an unknown object of which the known one is nearer; ties count half."""
    ordered = unknown.sort().values
    below = torch.searchsorted(ordered, known).double()
    up_to = torch.searchsorted(ordered, known, right=True).double()
    return float(((below + up_to) / 2).mean() / len(unknown))


def _checked_groups(classifier: Classifier, embeddings: Tensor, labels: Sequence[Any]) -> Tensor:
    if len(embeddings) != len(labels) or not len(labels):
        raise ValueError(
            f"expected a label for each object held out, one or more, got {len(embeddings)} objects and {len(labels)} "
            "labels"
        )
    return classifier.label_places(labels)
