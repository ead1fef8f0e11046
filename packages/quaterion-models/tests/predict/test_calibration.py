"""Calibration, against brute force over all thresholds and all settings."""

import itertools
import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from quaterion_models import SimilarityModel
from quaterion_models.encoders import VectorEncoder
from quaterion_models.heads import EmptyHead
from quaterion_models.predict import Classifier, calibrate, calibrate_confidence, calibrate_threshold, knn_vote
from quaterion_models.predict.calibration import NEIGHBOURS, TEMPERATURES, is_worse

Make = Callable[..., SimilarityModel]
LABELS = ["a", "b", "c"]


def noisy(rows: int, seed: int) -> tuple[Tensor, list[str]]:
    """Groups around three directions, which overlap."""
    generator = torch.Generator().manual_seed(seed)
    vectors = torch.eye(3)[torch.arange(rows) % 3] + 0.5 * torch.randn(rows, 3, generator=generator)
    return vectors, [LABELS[row % 3] for row in range(rows)]


def classifier_for(model: SimilarityModel, method: str) -> Classifier:
    vectors, labels = noisy(60, 0)
    return Classifier.from_embeddings(model, vectors, labels, method=method)


@pytest.mark.parametrize("method", ["knn", "weights"])
@pytest.mark.parametrize("keep", [0.5, 0.9, 0.95, 1.0])
def test_the_threshold_is_the_highest_that_keeps_enough(vector_model: Make, method: str, keep: float) -> None:
    classifier = classifier_for(vector_model(3, classes=LABELS), method)
    if method == "weights":
        classifier = Classifier(classifier.model, LABELS, method="weights")
    vectors, labels = noisy(40, 1)
    found = calibrate_threshold(classifier, vectors, labels, keep=keep)
    known = [prediction.similarity for prediction in classifier.classify_embeddings(vectors)]
    enough = [t for t in known if sum(similarity >= t for similarity in known) >= keep * 40]
    assert found.threshold == max(enough)
    calibrated = classifier.replace(threshold=found.threshold)
    kept = sum(prediction.label is not None for prediction in calibrated.classify_embeddings(vectors))
    assert found.known_kept == kept / 40 >= keep
    hidden = classifier.similarities_without_own(vectors, torch.arange(40) % 3).tolist()
    assert found.unknown_recognised == sum(similarity < found.threshold for similarity in hidden) / 40
    wins = [(k > u) + 0.5 * (k == u) for k in known for u in hidden]
    assert found.auroc == pytest.approx(sum(wins) / len(wins))
    assert found.objects == 40


@pytest.mark.parametrize("method", ["knn", "weights", "both"])
@pytest.mark.parametrize("cosine", [True, False])
def test_the_settings_are_those_of_the_lowest_log_loss(vector_model: Make, method: str, cosine: bool) -> None:
    classifier = classifier_for(vector_model(3, classes=LABELS, cosine=cosine), method)
    if method == "both":  # a group that has examples and no class weights
        classifier = classifier.add_embeddings(torch.tensor([[1.0, 1.0, 1.0], [1.0, 1.0, 0.9]]), ["d", "d"])
    vectors, labels = noisy(40, 1)
    if method == "both":
        vectors, labels = torch.cat([vectors, torch.ones(2, 3)]), [*labels, "d", "d"]
    groups = classifier.label_places(labels)

    def log_loss(one: Classifier) -> float:
        own = one.probabilities(vectors)[torch.arange(len(groups)), groups].tolist()
        return sum(-math.log(max(p, 1e-3)) for p in own) / len(own)

    found = calibrate_confidence(classifier, vectors, labels)
    scale = 1.0
    if method != "knn" and not cosine:
        similarities = classifier.weight_similarities(vectors)
        scale = float(similarities[similarities.isfinite()].abs().max())
    votes = [{"k": k, "temperature": t} for k in NEIGHBOURS if k <= 60 for t in TEMPERATURES[::4]]
    weights = [{"weights_temperature": t * scale} for t in TEMPERATURES[::4]]
    grid = {"knn": votes, "weights": weights, "both": [a | b for a, b in itertools.product(votes[::5], weights)]}
    assert found.log_loss <= min(log_loss(classifier.replace(**one)) for one in grid[method]) + 1e-6
    assert found.log_loss == pytest.approx(log_loss(classifier.replace(**found.settings)), abs=1e-6)
    assert found.log_loss_before == pytest.approx(log_loss(classifier), abs=1e-6)
    assert found.log_loss <= found.log_loss_before
    keys = {"knn": {"k", "temperature"}, "weights": {"weights_temperature"}}
    assert set(found.settings) == keys.get(method, keys["knn"] | keys["weights"])


def test_the_calibration_error_equals_a_loop_over_bins(vector_model: Make) -> None:
    classifier = classifier_for(vector_model(3), "knn").replace(temperature=0.005)
    vectors, labels = noisy(90, 1)
    predictions = classifier.classify_embeddings(vectors)
    error = 0.0
    for place in range(10):
        inside = [
            (one.confidence, one.label == label)
            for one, label in zip(predictions, labels, strict=True)
            if place / 10 < one.confidence <= (place + 1) / 10 + 1e-6 * (place == 9)
        ]
        error += abs(sum(right - confidence for confidence, right in inside)) / 90
    found = calibrate_confidence(classifier, vectors, labels)
    assert found.ece_before == pytest.approx(error, abs=1e-5)
    assert found.ece < found.ece_before  # it was far too sure
    after = classifier.replace(**found.settings).classify_embeddings(vectors)
    right = sum(one.label == label for one, label in zip(after, labels, strict=True))
    assert found.accuracy == pytest.approx(right / 90)


def test_calibrate_does_both_and_leaves_the_classifier_as_it_was(vector_model: Make) -> None:
    classifier = classifier_for(vector_model(3), "knn")
    vectors, labels = noisy(40, 1)
    calibrated, found = calibrate(classifier, vectors, labels, keep=0.9)
    assert found.confidence == calibrate_confidence(classifier, vectors, labels)
    assert found.threshold == calibrate_threshold(classifier, vectors, labels, keep=0.9)
    assert calibrated.threshold == found.threshold.threshold
    assert {name: calibrated.settings()[name] for name in found.confidence.settings} == found.confidence.settings
    assert (classifier.threshold, classifier.k, classifier.temperature) == (None, 10, 0.05)
    assert calibrate(classifier.replace(threshold=0.3), vectors, labels, keep=None)[0].threshold is None


def test_what_cannot_be_calibrated_is_refused(vector_model: Make) -> None:
    classifier = classifier_for(vector_model(3), "knn")
    vectors, labels = noisy(6, 1)
    with pytest.raises(
        ValueError, match="keep must be the share of known objects to keep, above 0 and up to 1, got 95"
    ):
        calibrate_threshold(classifier, vectors, labels, keep=95)
    with pytest.raises(ValueError, match="got 6 objects and 5 labels"):
        calibrate_confidence(classifier, vectors, labels[:5])
    with pytest.raises(ValueError, match="does not know the label 'x'"):
        calibrate_threshold(classifier, vectors, [*labels[:5], "x"])
    one = Classifier.from_embeddings(classifier.model, vectors, ["a"] * 6)
    with pytest.raises(ValueError, match="knows one group only"):
        calibrate_threshold(one, vectors, ["a"] * 6)


@pytest.mark.parametrize(("lost", "won", "worse"), [(0, 0, False), (1, 0, False), (4, 1, True), (10, 8, False)])
def test_a_loss_within_chance_is_none(lost: int, won: int, worse: bool) -> None:
    usual = torch.tensor([True] * lost + [False] * won + [True] * 5)
    right = torch.tensor([False] * lost + [True] * won + [True] * 5)
    assert is_worse(right, usual) == worse


def test_likelier_settings_that_are_wrong_more_often_are_not_taken(vector_model: Make) -> None:
    """Many groups of few examples: of many neighbours the likelihood is best, and the votes are wrong more often."""
    generator = torch.Generator().manual_seed(0)
    centers = torch.randn(100, 64, generator=generator)
    groups = torch.randint(0, 100, (3000,), generator=generator)
    vectors = centers[groups] + 1.5 * torch.randn(3000, 64, generator=generator)
    labels = groups.tolist()
    model = SimilarityModel(VectorEncoder(64), EmptyHead(64))
    classifier = Classifier.from_embeddings(model, vectors[:1500], labels[:1500], k=10, temperature=0.05)
    held_out, theirs = vectors[1500:], classifier.label_places(labels[1500:])
    found = calibrate_confidence(classifier, held_out, labels[1500:])
    usual, right = (
        one.probabilities(held_out).argmax(dim=1) == theirs
        for one in (classifier, classifier.replace(**found.settings))
    )
    assert found.accuracy == pytest.approx(float(right.double().mean()))
    assert not is_worse(right, usual)
    assert found.log_loss <= found.log_loss_before
    # The likeliest settings of all are worse here, so that there was something to leave out.
    similarities, voters = classifier.nearest_examples(held_out, max(NEIGHBOURS))
    likeliest = max(
        (
            knn_vote(similarities[:, :k], voters[:, :k], len(classifier.labels), temperature)
            for k, temperature in itertools.product(NEIGHBOURS, TEMPERATURES)
        ),
        key=lambda one: float(one.gather(1, theirs[:, None]).double().clamp(min=1e-3).log().mean()),
    )
    assert is_worse(likeliest.argmax(dim=1) == theirs, usual)
