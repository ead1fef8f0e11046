"""The threshold of matches, against all thresholds tried out."""

import random

import pytest
import torch

from quaterion_models.predict import calibrate_matcher


def judged(similarities: list[float], matches: list[bool], threshold: float) -> tuple[float, float, float]:
    taken = [match for similarity, match in zip(similarities, matches, strict=True) if similarity >= threshold]
    precision, recall = sum(taken) / len(taken), sum(taken) / sum(matches)
    return precision, recall, 2 * precision * recall / max(precision + recall, 1e-12)


def pairs(seed: int) -> tuple[list[float], list[bool]]:
    generator = random.Random(seed)
    matches = [generator.random() < 0.4 for _ in range(60)]
    # In steps of a tenth, so that many pairs are equally similar.
    return [round(generator.gauss(0.7 if match else 0.4, 0.2), 1) for match in matches], matches


@pytest.mark.parametrize("seed", range(10))
def test_the_best_f1_of_all_thresholds(seed: int) -> None:
    similarities, matches = pairs(seed)
    found = calibrate_matcher(similarities, matches)
    best = max(set(similarities), key=lambda t: (round(judged(similarities, matches, t)[2], 12), t))
    assert found.threshold == best
    assert found[1:4] == pytest.approx(judged(similarities, matches, best))
    assert found.pairs == 60


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("precision", [0.5, 0.8])
def test_the_lowest_threshold_of_a_precision(seed: int, precision: float) -> None:
    similarities, matches = pairs(seed)
    enough = [t for t in set(similarities) if judged(similarities, matches, t)[0] >= precision]
    found = calibrate_matcher(
        torch.tensor(similarities, dtype=torch.float64), torch.tensor(matches), precision=precision
    )
    assert found.threshold == min(enough)
    assert found.precision == pytest.approx(judged(similarities, matches, min(enough))[0])


def test_a_precision_that_cannot_be_had_tells_the_highest() -> None:
    with pytest.raises(
        ValueError, match="no threshold has a precision of 0.9 on the 3 labelled pairs; the highest is 0.5"
    ):
        calibrate_matcher([0.9, 0.8, 0.1], [0, 1, 0], precision=0.9)


@pytest.mark.parametrize(
    ("similarities", "matches", "precision", "message"),
    [
        ([0.1], [1, 0], None, r"got \[1\] and \[2\]"),
        ([float("nan")], [1], None, "expected a finite similarity"),
        ([0.1, 0.2], [0, 0], None, "at least one match"),
        ([0.1, 0.2], [0.5, 1], None, "true or false, or 1 or 0"),
        ([0.1], [1], 95, "precision must be above 0 and up to 1, such as 0.95, got 95"),
    ],
)
def test_what_does_not_fit_is_refused(
    similarities: list[float], matches: list[float], precision: float | None, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        calibrate_matcher(similarities, matches, precision=precision)
